// The digest of everything that controller and dataplane name by content: SHA-256 in lower-case hex, with a memory for the
// parts of shards, so that what did not change is not hashed again. Whoever compiles or receives makes one.
import { hash } from 'node:crypto'
import type { Digest, HashMemory } from '../model/canonical.ts'

/** A digest with a memory of its own, which goes with it. */
export function createDigest(): Digest {
  const sha256 = (text: string) => hash('sha256', text)
  const memory: HashMemory = { hosts: new WeakMap(), routes: new WeakMap() }
  return Object.assign(sha256, { memory })
}

// The active snapshot as one canonical JSON text, in pieces, keys hidden. admin.ts sends it; nothing else prints shards.
import { canonicalText, compareText } from '../model/canonical.ts'
import type { Snapshot, TenantShard } from '../model/snapshot.ts'

const CHUNK = 65_536

/** The text. Shards are ordered by tenant, pools by key; certificates show their facts and never a key. */
export async function* snapshotPieces(snapshot: Snapshot & { readonly sequence: number }): AsyncGenerator<string> {
  const { endpointsRevision, format, sequence, version } = snapshot
  let text = `{"endpointsRevision":${canonicalText(endpointsRevision)},"format":${format},"pools":[`
  let first = true
  for (const [, pool] of sorted(snapshot.pools)) {
    text += `${first ? '' : ','}${canonicalText(pool)}`
    first = false
    if (text.length < CHUNK) continue
    yield text
    text = ''
    await turn()
  }
  text += `],"sequence":${sequence},"shards":[`
  first = true
  for (const [, shard] of sorted(snapshot.shards)) {
    text += `${first ? '' : ','}${canonicalText(withoutKeys(shard))}`
    first = false
    if (text.length < CHUNK) continue
    yield text
    text = ''
    await turn()
  }
  yield `${text}],"version":${canonicalText(version)}}\n`
}

function withoutKeys(shard: TenantShard): unknown {
  const certificates = Object.fromEntries(
    [...shard.certificates].map(([fingerprint, { keyPem, ...facts }]) => [
      fingerprint,
      { ...facts, keyPem: String(keyPem) },
    ]),
  )
  return { ...shard, certificates, authorities: Object.fromEntries(shard.authorities) }
}

function sorted<Value>(map: ReadonlyMap<string, Value>): [string, Value][] {
  return [...map].sort(([a], [b]) => compareText(a, b))
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

// The last pass: hashes in canonical order, and the frozen result. Pure. Versions are hashes of hashes in two levels, so
// that one changed shard among 10,000 costs one bucket and not all of them.
import { canonicalText, compareText, type Digest } from '../../model/canonical.ts'
import { hashShard, partsOf } from '../../model/shard-hash.ts'
import { shareParts } from '../../model/shard-parts.ts'
import { BUCKETS, bucketOf } from './persistent-map.ts'
import type { Endpoint, Pool, PoolId, TenantShard } from '../../model/snapshot.ts'

/** A pool with its hash. */
export function sealPool(id: PoolId, endpoints: readonly Endpoint[], digest: Digest): Pool {
  return deepFreeze({ id, hash: digest(canonicalText([id, endpoints])), endpoints })
}

/**
 * A shard with its hash: over everything in it, certificates by their fingerprints, keys left out. What says the same as
 * in the former shard is the same object.
 */
export function sealShard(shard: Omit<TenantShard, 'hash'>, digest: Digest, before?: TenantShard): TenantShard {
  const whole = before === undefined ? shard : { ...shard, ...shareParts(before, shard, digest) }
  return deepFreeze({ ...whole, hash: hashShard(partsOf(whole), digest) })
}

/** One hash over named hashes, kept in buckets by name. */
export interface RootHash {
  readonly hash: string
  /** Names in each bucket, ordered. */
  readonly names: readonly (readonly string[])[]
  readonly hashes: readonly string[]
}

/**
 * The hash over the hashes of `names`. `changed` are those that differ from `previous`; where names came or went, leave
 * `previous` out.
 */
export function hashRoot(
  names: readonly string[],
  hashOf: (name: string) => string | undefined,
  digest: Digest,
  previous: RootHash | undefined,
  changed: readonly { readonly name: string }[],
): RootHash {
  if (previous !== undefined && changed.length === 0) return previous
  const buckets = previous?.names ?? bucketNames(names)
  const dirty = previous === undefined ? undefined : new Set(changed.map(({ name }) => bucketOf(name)))
  const hashes = buckets.map((bucket, index) => {
    const known = previous?.hashes[index]
    if (known !== undefined && dirty?.has(index) === false) return known
    return bucket.length === 0 ? '' : digest(canonicalText(bucket.map((name) => [name, hashOf(name) ?? ''])))
  })
  return { hash: digest(hashes.join(' ')), names: buckets, hashes }
}

function bucketNames(names: readonly string[]): readonly (readonly string[])[] {
  const buckets: string[][] = Array.from({ length: BUCKETS }, () => [])
  for (const name of names) buckets[bucketOf(name)]?.push(name)
  for (const bucket of buckets) bucket.sort(compareText)
  return buckets
}

/** Freezes plain data all the way down; what is frozen already was frozen all the way down. */
function deepFreeze<Value>(value: Value): Value {
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value) || Object.isFrozen(value)) return value
  Object.freeze(value)
  if (value instanceof Map) for (const entry of value.values()) deepFreeze(entry)
  else for (const field of Object.values(value)) deepFreeze(field)
  return value
}

// A shard on its way to a worker, told as what changed since the one that serves: a message as long as the edit. Pure.
// activation.ts makes them, worker-program.ts takes them; both have the same shard before.
import type { HostPlan, TenantShard } from '../model/snapshot.ts'
import { changeOf, mergeChange, type ShardChange } from '../model/shard-change.ts'
import { ruleKey } from '../model/shard-hash.ts'

/**
 * What leads from one shard to another, found by the identity of its parts: what was received as a change shares them.
 * undefined where that is no less than the whole.
 */
export function packChange(from: TenantShard | undefined, to: TenantShard): ShardChange | undefined {
  if (from === undefined || from.certificates !== to.certificates || from.authorities !== to.authorities) {
    return undefined
  }
  return changeOf(from, to, {
    route: () => false,
    host: (a, b) => a === b || isMoved(a, from, b, to),
  })
}

/** The shard again. Throws where the change is of another than `from`. */
export function unpackChange(from: TenantShard | undefined, change: ShardChange): TenantShard {
  const shard = from?.hash === change.base ? mergeChange(from, change) : undefined
  if (shard === undefined) throw new Error('a change of a shard that is not there')
  return shard
}

/** Whether `b` is `a` with its rules on other places. */
function isMoved(a: HostPlan, from: TenantShard, b: HostPlan, to: TenantShard): boolean {
  return (
    a.tls === b.tls &&
    a.matches.length === b.matches.length &&
    a.matches.every((match, index) => {
      const other = b.matches[index]
      const before = from.routes[match.route]?.id
      const after = other === undefined ? undefined : to.routes[other.route]?.id
      return (
        other !== undefined &&
        before !== undefined &&
        after !== undefined &&
        (before === after || ruleKey(before) === ruleKey(after)) &&
        match.path === other.path &&
        match.method === other.method &&
        match.headers === other.headers &&
        match.queryParams === other.queryParams &&
        match.index === other.index
      )
    })
  )
}

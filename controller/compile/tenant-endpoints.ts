// All pools of one tenant, with what the endpoints behind them mean for its Routes. Pure. compile-tenant calls it after
// the shard; pools whose inputs are the same as before are taken over, so a flipped endpoint costs one pool.
import { compareText, type Digest } from '../../model/canonical.ts'
import type { Issue } from '../../model/issue.ts'
import type { Pool } from '../../model/snapshot.ts'
import type { EndpointRule } from './endpoint-rule.ts'
import type { IndexedNamespace } from './indexed.ts'
import { createIssue } from './issues.ts'
import type { OrderedTable } from './ordered-table.ts'
import type { PodHolders } from './pod-holders.ts'
import type { BackendNeed } from './resolve-backends.ts'
import {
  type EndpointInputs,
  endpointInputs,
  type ResolvedEndpoints,
  resolveEndpoints,
  sameInputs,
} from './resolve-endpoints.ts'
import { sealPool } from './seal.ts'

/** A pool with what it was made from. */
interface KnownPool {
  readonly key: string
  readonly pool: Pool
  readonly inputs: EndpointInputs
  readonly resolved: ResolvedEndpoints
}

export interface TenantEndpoints {
  readonly needs: readonly BackendNeed[]
  readonly known: ReadonlyMap<string, KnownPool>
  /** Ordered by id. */
  readonly pools: readonly { readonly key: string; readonly pool: Pool }[]
  /** Hash over the hashes of all pools. */
  readonly hash: string
  readonly issues: readonly Issue[]
  /** Addresses whose standing depends on the Pods of strangers. */
  readonly believed: readonly string[]
  /** Addresses refused because Pods of strangers hold them, ordered. */
  readonly held: readonly string[]
}

/** What resolving needs beside the tenant. */
export interface EndpointTools {
  readonly namespaces: OrderedTable<IndexedNamespace>
  readonly rule: EndpointRule
  readonly holders: PodHolders
  /** Addresses that other namespaces hold now and did not before, or the other way round. */
  readonly changedAddresses: ReadonlySet<string>
  readonly digest: Digest
}

/** Resolves all pools of a tenant. Hands `previous` back where nothing is different. */
export function resolveTenantEndpoints(
  needs: readonly BackendNeed[],
  tools: EndpointTools,
  previous: TenantEndpoints | undefined,
): TenantEndpoints {
  const known = new Map<string, KnownPool>()
  let changed = previous === undefined || previous.needs !== needs
  for (const need of needs) {
    const before = previous?.known.get(need.key)
    const inputs = endpointInputs(need, tools.namespaces)
    if (before !== undefined && sameInputs(before.inputs, inputs) && !touches(before.resolved, tools)) {
      known.set(need.key, before)
      continue
    }
    changed = true
    const resolved = resolveEndpoints(inputs, tools.rule, tools.holders)
    const fresh = sealPool(need.id, resolved.endpoints, tools.digest)
    const pool = before !== undefined && before.pool.hash === fresh.hash ? before.pool : fresh
    known.set(need.key, { key: need.key, pool, inputs, resolved })
  }
  if (!changed && previous !== undefined) return previous
  const pools = [...known.values()].sort(comparePools)
  return {
    needs,
    known,
    pools,
    hash: pools.length === 0 ? '' : tools.digest(pools.map(({ pool }) => pool.hash).join(' ')),
    issues: needs.flatMap((need) => tellEndpoints(need, known.get(need.key)?.resolved)),
    believed: pools.flatMap(({ resolved }) => resolved.believed),
    held: [...new Set(pools.flatMap(({ resolved }) => resolved.held))].sort(compareText),
  }
}

function touches(resolved: ResolvedEndpoints, tools: EndpointTools): boolean {
  if (tools.changedAddresses.size === 0) return false
  return resolved.believed.some((address) => tools.changedAddresses.has(address))
}

function comparePools(a: KnownPool, b: KnownPool): number {
  const left = a.pool.id
  const right = b.pool.id
  return (
    compareText(left.namespace, right.namespace) || compareText(left.service, right.service) || left.port - right.port
  )
}

/** More addresses than this help nobody in a message. */
const MOST_NAMED = 8

function tellEndpoints(need: BackendNeed, resolved: ResolvedEndpoints | undefined): readonly Issue[] {
  if (resolved === undefined) return []
  const label = `Service ${need.id.namespace}/${need.id.service}`
  const issues: Issue[] = []
  const isReady = resolved.endpoints.some((endpoint) => endpoint.state === 'ready')
  const allRefused = resolved.refused.length > 0 && resolved.endpoints.length === 0
  for (const { subject, path } of need.uses) {
    if (resolved.refused.length > 0) {
      const named = resolved.refused.slice(0, MOST_NAMED).join(', ')
      const more = resolved.refused.length > MOST_NAMED ? ` and ${resolved.refused.length - MOST_NAMED} more` : ''
      const left = allRefused ? `; there is no other for port ${need.id.port}` : ''
      const message = `${label} has endpoints that may not be used: ${named}${more}${left}. Let it select your own pods, or ask the platform team for --allow-endpoints.`
      issues.push(createIssue(subject, 'degrades', 'EndpointNotAllowed', message, { path }))
    }
    // That none is left is no news where all are refused.
    if (isReady || allRefused) continue
    const what = resolved.endpoints.length === 0 ? 'no endpoint' : 'no ready endpoint, only terminating ones'
    const message = `${label} has ${what} for port ${need.id.port}. Check its pods and their readiness.`
    issues.push(createIssue(subject, 'degrades', 'NoReadyEndpoints', message, { path }))
  }
  return issues
}

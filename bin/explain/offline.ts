// Explain without a server: the dataplane's own builder over what was just compiled, with the places in the files.
import type { ExplainOptions, ExplainQuery, Explanation } from '../../dataplane/explain-types.ts'
import { explain } from '../../dataplane/explain.ts'
import { ExplainWorld } from '../../dataplane/explain-world.ts'
import { AddressRanges, parseCidr } from '../../model/address.ts'
import type { Issue } from '../../model/issue.ts'
import type { RouteId } from '../../model/snapshot.ts'
import { FILTERS } from '../../policies/filters.ts'
import { POLICIES } from '../../policies/index.ts'
import { type Loaded, positionText } from '../load.ts'

/** What of a compiled world is asked. */
export type Explainable = Pick<Loaded, 'resources' | 'result' | 'locate'>

/** What the gateway would be started with. */
export interface ExplainSettings {
  readonly trustForwarded: readonly string[]
  readonly hasDefaultCertificate: boolean
  /** Where clients find https. Default 443. */
  readonly httpsPort?: number
}

/** A function that explains requests against a compiled world. */
export function createOfflineExplain(
  loaded: Explainable,
  { trustForwarded, hasDefaultCertificate, httpsPort = 443 }: ExplainSettings,
): (query: ExplainQuery) => Promise<Explanation> {
  const { snapshot, issues } = loaded.result
  const world = new ExplainWorld({
    version: snapshot.version,
    shards: snapshot.shards,
    pools: snapshot.pools,
    filters: FILTERS,
    policies: POLICIES,
    trusted: new AddressRanges(trustForwarded.flatMap((text) => parseCidr(text) ?? [])),
    hasDefaultCertificate,
    httpsPort,
  })
  const options: ExplainOptions = {
    locate: (object, path) => positionText(loaded.locate(object, path), false) || undefined,
    overridden: (route, policy) =>
      issues.filter((issue) => isAbout(issue, route, policy, loaded)).map(({ message }) => message),
    suggest: 'all',
  }
  return (query) => explain(world, query, options)
}

/** The issue says that a body of this policy has no effect, or not all of it, on this Route. */
function isAbout(issue: Issue, route: RouteId, policy: string, loaded: Explainable): boolean {
  if (issue.reason !== 'Overridden' && issue.reason !== 'PartlyOverridden') return false
  if (issue.object.namespace !== route.namespace || !issue.path.includes(policy)) return false
  const written = loaded.resources.partitions.get(route.namespace)?.objects.get('Policy')?.get(issue.object.name)
  const spec: unknown = written?.body['spec']
  const targets = typeof spec === 'object' && spec !== null && 'targetRefs' in spec ? spec.targetRefs : undefined
  if (!Array.isArray(targets)) return true
  return targets.some((target: unknown) => {
    return typeof target === 'object' && target !== null && 'name' in target && target.name === route.route
  })
}

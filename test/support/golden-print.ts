// Prints what came of a golden case: snapshot.yaml (hashes and keys left out, defaults omitted, one line for a match and
// for an endpoint) and status.yaml (conditions without times). Small enough to be read in a review.
import { Document, type Node, stringify } from 'yaml'
import type { CompileResult } from '../../controller/compile/compile-types.ts'
import { StatusBook } from '../../controller/report/status-book.ts'
import { canonicalText } from '../../model/canonical.ts'
import { filledLimits, filledSettings } from '../../model/defaults.ts'
import { objectLabel, type ResourceSet } from '../../model/resources.ts'
import type { HostPlan, MatchPlan, Pool, RoutePlan, TenantShard, ValueMatchPlan } from '../../model/snapshot.ts'

/** Certificates of golden cases are good from 2025 to 2030, unless a case says otherwise. */
const NOW = Date.parse('2026-06-01')

/** Reasons of a condition that is as it should be. */
const BORING: ReadonlySet<string> = new Set(['Accepted', 'ResolvedRefs', 'Programmed', 'Attached', 'Serving'])

type Plain = Record<string, unknown>

/** The text of snapshot.yaml. */
export function printSnapshot(result: CompileResult): string {
  const tenants: Plain = {}
  for (const shard of result.snapshot.shards.values()) {
    const pools = [...result.snapshot.pools.values()].filter((pool) => pool.id.tenant === shard.tenant)
    tenants[shard.tenant] = plainShard(shard, pools)
  }
  return print(tenants)
}

/** The text of status.yaml. */
export function printStatus(resources: ResourceSet, result: CompileResult): string {
  const { version, endpointsRevision } = result.snapshot
  const acknowledgement = { pod: 'pod', sequence: 1, version, endpointsRevision, refused: [] }
  const statuses = new StatusBook().update({
    partitions: resources.partitions,
    result,
    sourceIssues: [],
    acknowledgements: [acknowledgement],
    now: NOW,
  })
  const printed: Plain = {}
  for (const { object, conditions } of statuses) {
    const lines: Plain = {}
    for (const { type, status, reason, message } of conditions) {
      // Ready repeats the words of the condition that decides it.
      if (type === 'Ready') lines[type] = `${status} ${reason}`
      else if (status !== 'True' || !BORING.has(reason)) lines[type] = `${status} ${reason}: ${message}`
    }
    printed[objectLabel(object)] = lines
  }
  const notes = result.issues.filter((issue) => issue.platformNote !== undefined)
  if (notes.length > 0) {
    printed['platform'] = notes.map((issue) => `${objectLabel(issue.object)} ${issue.reason}: ${issue.platformNote}`)
    printed['claims'] = result.claims.map(({ what, name, tenant }) => `${what} ${name} by ${tenant}`)
  }
  if (result.crossEffects.length > 0) {
    printed['crossEffects'] = result.crossEffects.map(
      ({ tenant, cause, objects }) => `${tenant}: ${cause} ${objects.map(objectLabel).join(', ')}`,
    )
  }
  if (result.lastGood.length > 0) {
    printed['lastGood'] = result.lastGood.map(({ object, generation }) => `${objectLabel(object)} ${generation}`)
  }
  return print(printed)
}

function print(value: Plain): string {
  return stringify(value, { lineWidth: 120, aliasDuplicateObjects: false })
}

function plainShard(shard: TenantShard, pools: readonly Pool[]): Plain {
  return without({
    suspended: shard.suspended || undefined,
    limits: changed(shard.limits, filledLimits(undefined)),
    hosts: Object.fromEntries(shard.hosts.map((host) => [host.host, plainHost(host, shard)])),
    routes: Object.fromEntries(shard.routes.map((route) => [routeName(route), plainRoute(route)])),
    pools: Object.fromEntries(pools.map((pool) => [poolName(pool.id), pool.endpoints.map(endpointText)])),
    certificates: [...shard.certificates.keys()],
    authorities: [...shard.authorities.keys()],
  })
}

function plainHost(host: HostPlan, shard: TenantShard): Plain {
  const { tls } = host
  return without({
    tls:
      tls === null
        ? undefined
        : without({
            certificates: tls.certificates,
            minVersion: tls.minVersion === '1.2' ? undefined : tls.minVersion,
            plainHTTP: tls.plainHTTP,
            clientValidation: tls.clientValidation ?? undefined,
          }),
    matches: host.matches.map((match) => `${matchText(match)} -> ${targetOf(match, shard)}`),
  })
}

function targetOf(match: MatchPlan, shard: TenantShard): string {
  const route = shard.routes[match.route]
  return route === undefined ? 'nothing' : routeName(route)
}

function matchText({ path, method, headers, queryParams }: MatchPlan): string {
  const value = (what: string) => (plan: ValueMatchPlan) =>
    `${what} ${plan.name}${plan.type === 'Exact' ? '=' : '~'}${plan.value}`
  return [
    `${path.type} ${path.value}`,
    ...(method === null ? [] : [method]),
    ...headers.map(value('header')),
    ...queryParams.map(value('query')),
  ].join(' ')
}

function routeName({ id }: RoutePlan): string {
  return `${id.namespace}/${id.route}[${id.rule}]${id.ruleName === '' ? '' : ` ${id.ruleName}`}`
}

function plainRoute(route: RoutePlan): Plain {
  const { id: _id, action, rewrite, requestHeaders, responseHeaders, filters, ...settings } = route
  const defaults = filledSettings({})
  return without({
    ...plainAction(action),
    rewrite: rewrite === null ? undefined : without({ ...rewrite }),
    requestHeaders: requestHeaders === null ? undefined : without({ ...requestHeaders }),
    responseHeaders: responseHeaders === null ? undefined : without({ ...responseHeaders }),
    filters: filters.map(({ policy, config, origins }) => ({
      policy,
      origins: inLine(origins),
      config: inLine(config),
    })),
    ...changed(settings, defaults),
  })
}

function plainAction(action: RoutePlan['action']): Plain {
  switch (action.type) {
    case 'forward':
      return {
        backends: action.backends.map(({ weight, pool, service }) => {
          const name = `${service.namespace}/${service.name}:${service.port}`
          return `${name} weight ${weight} -> ${pool === null ? 'nothing' : poolName(pool)}`
        }),
      }
    case 'redirect':
      return { redirect: without({ ...action.redirect }) }
    case 'unavailable':
      return { unavailable: action.error }
  }
}

function poolName(id: Pool['id']): string {
  return `${id.namespace}/${id.service}:${id.port}`
}

function endpointText({ address, port, state, zone }: Pool['endpoints'][number]): string {
  const dialled = address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`
  return [dialled, ...(state === 'ready' ? [] : [state]), ...(zone === '' ? [] : [zone])].join(' ')
}

/** The fields that differ from their defaults. */
function changed<Shape extends object>(value: Shape, defaults: Shape): Plain | undefined {
  const entries = Object.entries(value).filter(
    ([name, field]) => canonicalText(field) !== canonicalText((defaults as Plain)[name]),
  )
  return entries.length === 0 ? undefined : Object.fromEntries(entries)
}

/** On one line, as long as it fits. */
function inLine(value: unknown): Node {
  return new Document().createNode(value, { flow: true, aliasDuplicateObjects: false })
}

/** Without what is absent or empty. */
function without(fields: Plain): Plain {
  return Object.fromEntries(
    Object.entries(fields).filter(
      ([, field]) =>
        field !== undefined &&
        field !== null &&
        !(Array.isArray(field) && field.length === 0) &&
        !(typeof field === 'object' && Object.keys(field).length === 0),
    ),
  )
}

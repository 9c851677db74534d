// Replays requests.yaml of a golden case: each request is explained, and really served in memory through the Program built
// from the case's own snapshot; both must say what the case expects, and the same as each other.
//
// requests.yaml is what `atrium explain -f` takes, and may say more of a request: `sees` (fields that the backend gets;
// null for one that it must not), `answer` (fields that the client gets), `steps` (policies asked, in order),
// `endpoints` (all that may be dialled).
import { readFileSync } from 'node:fs'
import { parse } from 'yaml'
import { readCase } from '../../bin/explain/cases.ts'
import { unmet, unmetText } from '../../bin/explain/expectations.ts'
import type { CompileResult } from '../../controller/compile/compile-types.ts'
import { type Backends, buildTenant } from '../../dataplane/build/build.ts'
import { HostTable } from '../../dataplane/build/host-table.ts'
import type { EndpointHandle } from '../../dataplane/build/program.ts'
import { explain } from '../../dataplane/explain.ts'
import type { ExplainQuery, Explanation } from '../../dataplane/explain-types.ts'
import { ExplainWorld } from '../../dataplane/explain-world.ts'
import { createHandler } from '../../dataplane/runtime/exchange.ts'
import { createLocalState } from '../../dataplane/runtime/local-state.ts'
import { AddressRanges } from '../../model/address.ts'
import { poolKey, type Snapshot } from '../../model/snapshot.ts'
import { FILTERS } from '../../policies/filters.ts'
import { POLICIES } from '../../policies/index.ts'
import { type MemoryAnswer, serve } from './memory-carrier.ts'
import { MemoryUpstream } from './memory-upstream.ts'
import { createTestContext, type TestContext } from './serve-context.ts'

type Fields = Readonly<Record<string, unknown>>

/** What the backend got. */
interface Seen {
  readonly endpoint: string
  readonly target: string
  readonly fields: readonly string[]
}

/** Replays a file of requests; returns what did not come out as expected, one line each. */
export async function replay(file: string, result: CompileResult): Promise<readonly string[]> {
  const { snapshot } = result
  const world = new ExplainWorld({
    version: snapshot.version,
    shards: snapshot.shards,
    pools: snapshot.pools,
    filters: FILTERS,
    policies: POLICIES,
    trusted: new AddressRanges([]),
    hasDefaultCertificate: true,
    httpsPort: 443,
  })
  const context = createContext(snapshot)
  const problems: string[] = []
  try {
    for (const [index, item] of (parse(readFileSync(file, 'utf8')) as Fields[]).entries()) {
      const { sees, answer, steps, endpoints, ...rest } = item
      const { query, expect } = readCase(rest, `request ${index + 1}`)
      const said = await explain(world, query)
      const told = [
        ...unmet(said, expect).map(unmetText),
        ...checkSteps(said, steps as readonly string[] | undefined),
        ...checkEndpoints(said, endpoints as readonly string[] | undefined),
        ...(await checkServed(query, said, context, world, { sees: sees as Fields, answer: answer as Fields })),
      ]
      problems.push(...told.map((text) => `request ${index + 1} (${query.method} ${query.url}): ${text}`))
    }
    for (const { error, where } of context.faults) problems.push(`fault in ${where}: ${String(error)}`)
  } finally {
    context.close()
  }
  return problems
}

function checkSteps(said: Explanation, wanted: readonly string[] | undefined): readonly string[] {
  if (wanted === undefined) return []
  const found = said.steps.filter(({ wouldPass }) => wouldPass !== null).map(({ policy }) => policy)
  return found.join() === wanted.join() ? [] : [`expected steps ${wanted.join()}, got ${found.join()}`]
}

function checkEndpoints(said: Explanation, wanted: readonly string[] | undefined): readonly string[] {
  if (wanted === undefined) return []
  const found = said.backends
    .filter(({ share }) => share > 0)
    .flatMap((backend) => backend.endpoints.map(({ address, port }) => `${address} ${port}`))
  return found.join() === wanted.join() ? [] : [`expected endpoints ${wanted.join()}, got ${found.join()}`]
}

async function checkServed(
  query: ExplainQuery,
  said: Explanation,
  context: TestContext,
  world: ExplainWorld,
  wanted: { readonly sees: Fields | undefined; readonly answer: Fields | undefined },
): Promise<readonly string[]> {
  // A handshake that ends has no answer to compare with.
  if (said.decision === 'Refused' && said.status === null) return []
  const name = said.request.sni
  const identity = name === null ? undefined : world.identity(name)
  const tls = { serverName: name ?? '', tenant: identity?.tenant ?? '' }
  const verifiedAgainst = identity?.clientValidation?.authorityKey ?? ''
  const before = context.records.length
  const did = await serve(createHandler(context), {
    method: query.method ?? 'GET',
    url: query.url,
    headers: query.headers ?? [],
    ...(query.clientAddress === undefined ? {} : { client: query.clientAddress }),
    ...(name === null ? {} : { tls: { ...tls, verifiedAgainst } }),
  })
  // The record is written when the last byte has gone.
  await Promise.resolve()
  await Promise.resolve()
  const route = context.records.length > before ? context.records.at(-1)?.route : undefined
  const saidRoute = said.route === null ? '' : `${said.route.namespace}/${said.route.name}[${said.route.rule}]`
  const didRoute = route === null || route === undefined ? '' : `${route.namespace}/${route.route}[${route.rule}]`
  const problems =
    saidRoute === didRoute ? [] : [`explained as ${saidRoute || 'no route'}, served by ${didRoute || 'none'}`]
  problems.push(...checkFields('answer', did.fields, wanted.answer))
  const seen = did.status === 200 && did.body !== '' ? (JSON.parse(did.body) as Seen) : undefined
  if (seen === undefined) {
    if (wanted.sees !== undefined) problems.push(`expected a backend to be asked, got ${did.status}`)
    return [...problems, ...checkGatewayAnswer(said, did)]
  }
  if (said.decision !== 'Proxied') problems.push(`explained as ${said.decision}, served by ${seen.endpoint}`)
  if (said.upstream?.target !== seen.target) problems.push(`explained ${said.upstream?.target}, sent ${seen.target}`)
  return [...problems, ...checkFields('backend', seen.fields, wanted.sees)]
}

function checkGatewayAnswer(said: Explanation, did: MemoryAnswer): readonly string[] {
  if (said.decision === 'Proxied') {
    const mayLose = said.backends.some(({ share, endpoints }) => share > 0 && endpoints.length === 0)
    return mayLose && did.status === 503 ? [] : [`explained as Proxied, answered ${did.status}`]
  }
  const error = did.headers['x-atrium-error'] ?? null
  if (said.status !== did.status || said.error !== error) {
    return [`explained ${said.status} ${said.error}, answered ${did.status} ${error}`]
  }
  const location = did.headers['location'] ?? null
  return said.location === location ? [] : [`explained location ${said.location}, answered ${location}`]
}

function checkFields(who: string, fields: readonly string[], wanted: Fields | undefined): readonly string[] {
  return Object.entries(wanted ?? {}).flatMap(([name, value]) => {
    const found = fields.filter(
      (_, index) => index % 2 === 1 && fields[index - 1]?.toLowerCase() === name.toLowerCase(),
    )
    const expected = value === null ? '' : String(value)
    return found.join(', ') === expected ? [] : [`${who}: expected ${name} ${expected}, got ${found.join(', ')}`]
  })
}

function createContext(snapshot: Snapshot): TestContext {
  const state = createLocalState()
  const backends: Backends = {
    backend: (plan, _route, tenant) => {
      const all = snapshot.pools.get(poolKey(plan.pool))?.endpoints ?? []
      const ready = all.filter((endpoint) => endpoint.state === 'ready')
      const handles = (ready.length > 0 ? ready : all).map(({ address, port }): EndpointHandle => {
        const client = new MemoryUpstream()
        client.onAttempt = (script) => {
          const { target, fields, method } = script.request
          const seen: Seen = { endpoint: `${address} ${port}`, target, fields }
          script.answer(200, [], method === 'HEAD' ? '' : JSON.stringify(seen))
        }
        return { address, port, label: address, state: tenant.endpoint(plan.pool, address, port), client }
      })
      return {
        service: plan.service,
        pick: (tried) => handles.find((handle) => !tried.includes(handle)),
        report: () => undefined,
      }
    },
  }
  const hosts = new HostTable()
  for (const [tenant, shard] of snapshot.shards) {
    hosts.replace(tenant, buildTenant(shard, { state, pools: backends, filters: FILTERS }))
  }
  return createTestContext(hosts, state)
}

// Explain: what would happen to a request, and why. It asks the very functions that serve requests, in the order of
// runtime/exchange.ts, over state that never says no (explain-world.ts), and uses nothing up. The command line and the
// admin listener call it.
import type { Exchange, StepResult } from '../model/filter.ts'
import { GATEWAY_ERRORS, type GatewayAnswer, type GatewayErrorCode } from '../model/gateway-error.ts'
import { canonicalHost } from '../model/host.ts'
import type { RouteId, TenantLimits } from '../model/snapshot.ts'
import { formatRate, formatSize } from '../model/quantity.ts'
import type { HostProgram, RouteProgram, TraceEntry } from './build/program.ts'
import { explainOrder } from './explain-order.ts'
import { nearestName } from './explain-suggest.ts'
import type {
  Decision,
  ExplainedBackend,
  ExplainedCandidate,
  ExplainedLimit,
  ExplainedStep,
  ExplainOptions,
  ExplainQuery,
  Explanation,
} from './explain-types.ts'
import type { ExplainWorld } from './explain-world.ts'
import type { ConnectionTls } from './runtime/carrier.ts'
import { Connection } from './runtime/client-connection.ts'
import { judgeConnection, judgeLimits, type Admission } from './runtime/exchange-admission.ts'
import { upstreamRequest } from './runtime/exchange-request.ts'
import { receiveRequest, type Received } from './runtime/request-head.ts'
import { handshakeObstacle, type HostIdentity } from './tls/host-identity.ts'

const ASSUMED_ADDRESS = '127.0.0.1'

/** Explains one request. Never throws for what a user may ask; a URL that is none is explained as refused. */
export async function explain(
  world: ExplainWorld,
  query: ExplainQuery,
  options: ExplainOptions = {},
): Promise<Explanation> {
  return new Inquiry(world, query, options).answer()
}

type Mutable<Shape> = { -readonly [Field in keyof Shape]: Shape[Field] }

/** How it ends. */
interface Ending {
  readonly decision: Decision
  readonly status: number | null
  readonly error: GatewayErrorCode | null
  readonly result: string
}

interface Facts extends Pick<Received, 'request' | 'bodyLength' | 'websocket' | 'expectsContinue'> {
  readonly connection: Connection
}

/** One question on its way to the answer. */
class Inquiry {
  readonly #world: ExplainWorld
  readonly #query: ExplainQuery
  readonly #options: ExplainOptions
  readonly #unknown: string[] = []
  readonly #found: Mutable<Omit<Explanation, keyof Ending | 'unknown'>>

  constructor(world: ExplainWorld, query: ExplainQuery, options: ExplainOptions) {
    this.#world = world
    this.#query = query
    this.#options = options
    this.#found = {
      request: {
        method: query.method ?? 'GET',
        url: query.url,
        headers: query.headers ?? [],
        clientAddress: query.clientAddress ?? ASSUMED_ADDRESS,
        sni: null,
        canonical: null,
      },
      tls: null,
      tenant: null,
      host: null,
      route: null,
      candidates: [],
      limits: [],
      steps: [],
      backends: [],
      upstream: null,
      location: null,
      snapshot: world.parts.version,
    }
  }

  async answer(): Promise<Explanation> {
    const ending = await this.#run().catch((error: unknown): Ending => {
      const message = error instanceof Error ? error.message : String(error)
      this.#unknown.push('what a dataplane does that still has an older configuration of this tenant')
      const result = `not known: the configuration of this tenant cannot be run (${message})`
      return { decision: 'Answered', status: null, error: null, result }
    })
    return { ...this.#found, ...ending, unknown: this.#unknown }
  }

  async #run(): Promise<Ending> {
    if (this.#query.clientAddress === undefined) this.#unknown.push(`client address: assumed ${ASSUMED_ADDRESS}`)
    const url = /^(https?):\/\/([^/?#]+)([^#]*)/i.exec(this.#query.url)
    if (url === null)
      return refusal('BadRequest', `${JSON.stringify(this.#query.url)} is no absolute http or https URL`)
    const [, scheme = '', authority = '', rest = ''] = url
    const tls = scheme.toLowerCase() === 'https' ? this.#shakeHands(authority) : null
    if (tls !== null && 'decision' in tls) return tls
    const facts = this.#receive(authority, rest, tls)
    return 'decision' in facts ? facts : this.#admit(facts)
  }

  /** What the handshake would establish, or why it would end. */
  #shakeHands(authority: string): ConnectionTls | Ending {
    const { sni } = this.#query
    const asked = canonicalHost(sni ?? authority) ?? ''
    // Addresses are no TLS names (RFC 6066 section 3).
    const name = sni === '' || /^\[|^[0-9.]+$/.test(asked) ? '' : asked
    this.#found.request = { ...this.#found.request, sni: name }
    const identity = this.#world.identity(name)
    this.#found.tls = { name, text: this.#tlsText(name, identity) }
    const obstacle = handshakeObstacle(identity, this.#world.parts.hasDefaultCertificate)
    if (obstacle !== undefined) {
      this.#found.tenant = identity?.tenant ?? null
      return this.#handshakeEnds(name, obstacle)
    }
    const validation = identity?.clientValidation ?? null
    const shows = validation !== null && this.#query.clientCertificate !== 'none'
    if (validation !== null && this.#query.clientCertificate === undefined) {
      this.#unknown.push('client certificate: assumed to come from an authority of the host')
    }
    if (validation?.mode === 'Require' && !shows) {
      this.#found.tenant = identity?.tenant ?? null
      return handshakeRefused('the handshake ends: this host demands a client certificate')
    }
    return {
      serverName: name,
      tenant: identity?.tenant ?? '',
      version: 'TLSv1.3',
      cipher: '',
      verifiedAgainst: shows ? validation.authorityKey : '',
    }
  }

  #handshakeEnds(name: string, obstacle: 'NameUnknown' | 'NoCertificate' | 'NoAuthority'): Ending {
    const shown = name === '' ? 'a client without a TLS name' : name
    switch (obstacle) {
      case 'NameUnknown':
        return handshakeRefused(`the handshake ends: no certificate for ${shown}${this.#suggestion(name)}`)
      case 'NoCertificate':
        return handshakeRefused(`the handshake ends: ${shown} has no certificate`)
      case 'NoAuthority':
        return handshakeRefused(`the handshake ends: no authority for client certificates of ${shown} can be read`)
    }
  }

  #tlsText(name: string, identity: HostIdentity | undefined): string {
    if (identity === undefined) return name === '' ? 'no TLS name' : `${name} has no host here`
    const tls = this.#world.parts.shards.get(identity.tenant)?.hosts.find(({ host }) => host === identity.host)?.tls
    const facts = this.#world.parts.shards.get(identity.tenant)?.certificates
    const names = (tls?.certificates ?? []).map((fingerprint) => facts?.get(fingerprint)?.names.join(', ') ?? '?')
    const certificate = names.length === 0 ? "the install's default certificate" : `certificate for ${names.join('; ')}`
    const validation = identity.clientValidation
    return [
      certificate,
      `TLS ${identity.minVersion}+`,
      ...(validation === null ? [] : [`client certificate: ${validation.mode}`]),
    ].join(', ')
  }

  /** The head as the gate for all codecs judges it. */
  #receive(authority: string, rest: string, tls: ConnectionTls | null): Facts | Ending {
    const { method, headers, clientAddress } = this.#found.request
    const { bodyLength } = this.#query
    const connection = new Connection({
      peerAddress: clientAddress,
      localPort: tls === null ? 80 : 443,
      tls,
      trusted: this.#world.parts.trusted,
    })
    const received = receiveRequest(
      {
        method,
        target: rest.startsWith('/') ? rest : `/${rest}`,
        version: '1.1',
        fields: [
          ...(headers.some(([name]) => name.toLowerCase() === 'host') ? [] : ['host', authority]),
          ...headers.flat(),
          ...(bodyLength === undefined ? [] : ['content-length', String(bodyLength)]),
        ],
      },
      connection,
    )
    if (typeof received === 'string') return refusal(received)
    const { host, path, query } = received.request
    this.#found.request = { ...this.#found.request, canonical: { host, path, query } }
    return { ...received, connection }
  }

  async #admit(facts: Facts): Promise<Ending> {
    const { request } = facts
    const host = this.#world.lookup(request.host)
    if (host === undefined) {
      return refusal('NoHost', `no tenant serves ${request.host}${this.#suggestion(request.host)}`)
    }
    this.#found.tenant = host.tenant.tenant
    this.#found.host = host.host
    this.#found.limits = limitsOf(host.tenant.tenant, host.tenant.limits)
    const route = host.route(request)
    const trace = host.trace(request)
    this.#found.candidates = candidatesOf(trace, route)
    let admission: Admission = judgeConnection(host, facts, this.#world.parts.httpsPort)
    if (admission.type === 'go') admission = judgeLimits(host.tenant, facts)
    if (admission.type === 'secure') return this.#redirected(308, admission.location, 'plainHTTP: Redirect')
    if (admission.type === 'refuse') return refusal(admission.answer.code, admissionText(admission.answer, host))
    if (host.tenant.requests !== null || host.tenant.limits.concurrency !== null) {
      this.#unknown.push('use of the limits: assumed below all of them')
    }
    if (route === undefined) return refusal('NoRoute', 'no rule of this host matches')
    return this.#take(route, facts)
  }

  async #take(route: RouteProgram, facts: Facts): Promise<Ending> {
    const { namespace, route: name, rule, ruleName } = route.id
    const origin =
      this.#options.locate?.({ kind: 'Route', namespace, name }, ['spec', 'rules', rule]) ??
      `Route ${namespace}/${name}`
    this.#found.route = { namespace, name, rule, ruleName, origin }
    this.#found.backends = this.#backendsOf(route)
    const passed = new Map<number, boolean>()
    const answer = await runSteps(route, facts, passed)
    this.#describeSteps(route, passed, answer)
    if (answer !== undefined) return refusal(answer.code, `by ${answer.decidedBy ?? 'a policy'}`)
    return this.#serve(route, facts)
  }

  #serve(route: RouteProgram, facts: Facts): Ending {
    const { action } = route.plan
    if (action.type === 'unavailable') return refusal(action.error, 'the rule may not serve as it stands')
    if (action.type === 'redirect') {
      const location = route.location(facts.request, facts.request.visiblePort)
      return this.#redirected(action.redirect.statusCode, location, 'RequestRedirect')
    }
    const target = route.target(facts.request)
    if (!target.startsWith('/')) return refusal(target as GatewayErrorCode, 'after the rewrite')
    this.#found.upstream = upstreamOf(route, facts, target)
    const { backends } = this.#found
    const served = backends.filter(({ share, endpoints }) => share > 0 && endpoints.length > 0)
    if (served.length === 0) return refusal('NoHealthyEndpoint', 'no backend of the rule has an endpoint')
    this.#unknown.push('health of the endpoints: assumed to answer')
    const names = served.map(({ service }) => service.name)
    const lost = 1 - served.reduce((sum, { share }) => sum + share, 0)
    const rest = lost < 1e-9 ? '' : `; ${percent(lost)} of the requests get 503 NoHealthyEndpoint`
    const result = `proxied to Service ${[...new Set(names)].join(' or ')}${rest}`
    return { decision: 'Proxied', status: null, error: null, result }
  }

  #redirected(status: number, location: string, by: string): Ending {
    this.#found.location = location
    return { decision: 'Redirected', status, error: null, result: `${status} to ${location} (${by})` }
  }

  #backendsOf(route: RouteProgram): readonly ExplainedBackend[] {
    const { action } = route.plan
    if (action.type !== 'forward') return []
    const sum = action.backends.reduce((total, { weight }) => total + weight, 0)
    return action.backends.map(({ service, weight, pool }) => {
      const all = this.#world.endpoints(pool)
      const ready = all.filter(({ state }) => state === 'ready')
      return { service, share: sum === 0 ? 0 : weight / sum, endpoints: ready.length > 0 ? ready : all }
    })
  }

  #describeSteps(route: RouteProgram, passed: ReadonlyMap<number, boolean>, answer: GatewayAnswer | undefined): void {
    const limits: ExplainedLimit[] = []
    this.#found.steps = route.plan.filters.map(({ policy, config, origins }, slot): ExplainedStep => {
      const description = this.#world.parts.policies.find(({ name }) => name === policy)?.describe?.(config)
      const origin = origins.join(' and ')
      for (const limit of description?.limits ?? []) limits.push({ ...limit, origin })
      return {
        policy,
        summary: description?.summary ?? '',
        origin,
        overridden: this.#options.overridden?.(route.id, policy) ?? [],
        // Without a hook for requests a policy stands in nobody's way.
        wouldPass: passed.get(slot) ?? (answer === undefined ? true : null),
      }
    })
    if (limits.length === 0) return
    this.#found.limits = [...this.#found.limits, ...limits]
    const known = 'use of the limits: assumed below all of them'
    if (!this.#unknown.includes(known)) this.#unknown.push(known)
  }

  #suggestion(name: string): string {
    const { suggest } = this.#options
    const nearest = suggest === undefined ? undefined : nearestName(name, this.#world.names(suggest))
    return nearest === undefined ? '' : ` (did you mean ${nearest}?)`
  }
}

/** Runs the steps as the exchange does, until one answers. A throw is the gateway's fault, there as here. */
async function runSteps(
  route: RouteProgram,
  facts: Facts,
  passed: Map<number, boolean>,
): Promise<GatewayAnswer | undefined> {
  const exchange: Exchange = {
    tenant: route.id.tenant,
    route: route.id,
    requestId: 'explain',
    client: facts.request.client,
    request: facts.request,
    startedAt: 0,
    slots: new Array(route.slots),
  }
  for (const step of route.onRequest) {
    let result: StepResult
    try {
      result = await step.hook.call(step.hooks, exchange, step.slot)
    } catch {
      return { code: 'InternalError', decidedBy: step.policy }
    }
    passed.set(step.slot, result === undefined)
    if (result !== undefined) return result
  }
  return undefined
}

function candidatesOf(trace: readonly TraceEntry[], route: RouteProgram | undefined): readonly ExplainedCandidate[] {
  const winner = trace.find((entry) => entry.matched)
  const next = trace.find((entry) => entry.matched && entry !== winner)
  return trace.map((entry) => {
    const chosen = entry === winner && entry.route === route
    return {
      rule: ruleLabel(entry.route.id),
      matched: entry.matched,
      chosen,
      why:
        entry.matched && winner !== undefined && route !== undefined
          ? `${entry.why}; ${explainOrder(entry, winner, next)}`
          : entry.why,
    }
  })
}

/** `acme-prod/shop rule api`, by position where the rule has no name. */
function ruleLabel(id: RouteId): string {
  return `${id.namespace}/${id.route} rule ${id.ruleName === '' ? id.rule : id.ruleName}`
}

function limitsOf(tenant: string, limits: TenantLimits): readonly ExplainedLimit[] {
  const limit = (name: string, rule: string): ExplainedLimit => ({ name, rule, key: '', origin: `Tenant ${tenant}` })
  const { requests, concurrency, connections, bodySize } = limits
  return [
    ...(requests === null ? [] : [limit('requests', `${formatRate(requests)}, burst ${requests.burst}`)]),
    ...(concurrency === null ? [] : [limit('concurrency', `${concurrency} in flight`)]),
    ...(connections === null ? [] : [limit('connections', `${connections} open`)]),
    limit('bodySize', formatSize(bodySize)),
  ]
}

function upstreamOf(route: RouteProgram, facts: Facts, target: string): Explanation['upstream'] {
  const { plan } = route
  const sent = upstreamRequest(facts, route, target, 'explain')
  const at = sent.fields.findIndex((name, index) => index % 2 === 0 && name.toLowerCase() === 'host')
  const changes = plan.requestHeaders
  return {
    method: sent.method,
    target,
    host: sent.fields[at + 1] ?? '',
    changes: [
      ...(changes?.set.map(({ name, value }) => `${name}: ${value}`) ?? []),
      ...(changes?.add.map(({ name, value }) => `+ ${name}: ${value}`) ?? []),
      ...(changes?.remove.map((name) => `- ${name}`) ?? []),
    ],
    balance: plan.balance,
    timeouts: { request: plan.timeouts.request, backendRequest: plan.timeouts.backendRequest },
    retries: plan.retry.attempts,
  }
}

function admissionText(answer: GatewayAnswer, host: HostProgram): string | undefined {
  switch (answer.code) {
    case 'MisdirectedRequest':
      return host.tls?.plainHTTP === 'Refuse'
        ? 'the host is served over TLS only, on a connection made for its tenant'
        : 'the connection was not made for this host, or its client certificate does not count here'
    case 'TenantSuspended':
      return `Tenant ${host.tenant.tenant} is suspended`
    default:
      return answer.decidedBy === undefined ? undefined : `by ${answer.decidedBy} of Tenant ${host.tenant.tenant}`
  }
}

function refusal(code: GatewayErrorCode, why?: string): Ending {
  const { status, detail } = GATEWAY_ERRORS[code]
  return {
    decision: status >= 500 ? 'Answered' : 'Refused',
    status,
    error: code,
    result: `${status} ${code}: ${why ?? detail}`,
  }
}

function handshakeRefused(result: string): Ending {
  return { decision: 'Refused', status: null, error: null, result }
}

/** `90 %`, one place after the point where a whole number would hide something. */
export function percent(share: number): string {
  const hundred = share * 100
  return `${Number.isInteger(Math.round(hundred * 1e6) / 1e6) ? Math.round(hundred) : hundred.toFixed(1)} %`
}

// The text of one access line (ux conventions 5.4, format `otel`). Pure but for what it remembers of routes, backends and
// connections, so that only what differs from request to request is written anew. access-log.ts makes one for a worker.
//
// Not a general serialiser: the fields are known, and a general one takes longer for a line than the gateway for the rest
// of what it decides about a request.
import { GATEWAY_ERRORS } from '../../model/gateway-error.ts'
import type { RouteId } from '../../model/snapshot.ts'
import { hideSecrets } from './access-log-query.ts'
import type { AccessRecord } from './access-record.ts'
import type { ConnectionTls } from './carrier.ts'

type Backend = NonNullable<AccessRecord['backend']>

/** Writes lines, each with its line end. */
export class AccessLine {
  readonly #start: string
  readonly #routes = new WeakMap<RouteId, string>()
  readonly #backends = new WeakMap<Backend, string>()
  readonly #connections = new WeakMap<ConnectionTls, string>()
  #second = Number.NaN
  #secondText = ''

  /** @param pod name for `k8s.pod.name`, '' for none. */
  constructor(pod: string) {
    // First of all what tells these lines from everything else on stdout.
    this.#start = `{"event.name":"http.access"${field('k8s.pod.name', pod)},"time":"`
  }

  /** Fields without data leave no trace. */
  textOf(record: AccessRecord): string {
    const { status, route, backend, error, upstreamMs, tls } = record
    let line = `${this.#start}${this.#time(record.time)}"`
    line += field('request_id', record.requestId)
    line += field('atrium.tenant', record.tenant)
    if (route !== null) line += remembered(this.#routes, route, routeFields)
    line += `,"http.request.method":${quoted(record.method)}`
    if (status !== 0) line += `,"http.response.status_code":${status}`
    line += `,"url.scheme":"${record.scheme}"`
    line += field('server.address', record.host)
    line += `,"url.path":${quoted(record.path)}`
    line += field('url.query', hideSecrets(record.query))
    line += field('client.address', record.clientAddress)
    line += field('network.peer.address', record.peerAddress)
    line += `,"http.request.size":${record.requestSize},"http.response.size":${record.responseSize}`
    line += `,"duration_ms":${rounded(record.durationMs)}`
    if (upstreamMs !== null) line += `,"atrium.upstream_ms":${rounded(upstreamMs)}`
    if (backend !== null) line += remembered(this.#backends, backend, backendField)
    line += field('atrium.endpoint', record.endpoint)
    if (record.resends > 0) line += `,"http.request.resend_count":${record.resends}`
    if (error !== null) line += `,"error.type":"${error}","atrium.error_source":"${GATEWAY_ERRORS[error].source}"`
    if (record.decidedBy !== '') line += `${field('atrium.policy', record.decidedBy)},"atrium.decision":"refused"`
    if (record.aborted) line += ',"atrium.aborted":true'
    if (tls !== null) line += remembered(this.#connections, tls, tlsFields)
    return `${line}}\n`
  }

  /** RFC 3339 with milliseconds; only those change from one line to the next. */
  #time(milliseconds: number): string {
    const second = Math.floor(milliseconds / 1000)
    if (second !== this.#second) {
      this.#second = second
      this.#secondText = new Date(second * 1000).toISOString().slice(0, -4)
    }
    const rest = Math.floor(milliseconds - second * 1000)
    return `${this.#secondText}${rest < 10 ? '00' : rest < 100 ? '0' : ''}${rest}Z`
  }
}

function remembered<Key extends object>(texts: WeakMap<Key, string>, key: Key, write: (key: Key) => string): string {
  const known = texts.get(key)
  if (known !== undefined) return known
  const text = write(key)
  texts.set(key, text)
  return text
}

function routeFields({ namespace, route, rule, ruleName }: RouteId): string {
  const name = ruleName === '' ? String(rule) : ruleName
  return `,"atrium.route_namespace":${quoted(namespace)},"atrium.route":${quoted(route)}${field('atrium.rule', name)}`
}

function backendField({ namespace, name, port }: Backend): string {
  return field('atrium.backend', `${namespace}/${name}:${port}`)
}

function tlsFields({ version, cipher, serverName }: ConnectionTls): string {
  return `${field('tls.protocol.version', version)}${field('tls.cipher', cipher)}${field('server.name', serverName)}`
}

function field(name: string, value: string): string {
  return value === '' ? '' : `,"${name}":${quoted(value)}`
}

/** Three decimals: microseconds are as fine as the clock is worth. */
function rounded(milliseconds: number): number {
  return Math.round(milliseconds * 1000) / 1000
}

/** Text that stands in JSON as it is: no quote, backslash, control character, line separator or half of a pair. */
const PLAIN = /^[ !#-[\]-~\u00a0-\u2027\u202a-\ud7ff\ue000-\uffff]*$/
// JSON leaves these as they are, but a terminal obeys 0x9b and some readers break a line at U+2028.
const LOOSE_CONTROLS = /[\u007f-\u009f\u2028\u2029]/g

function quoted(text: string): string {
  if (PLAIN.test(text)) return `"${text}"`
  return JSON.stringify(text).replace(
    LOOSE_CONTROLS,
    (found) => `\\u${found.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}

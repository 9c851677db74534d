// Which way a request of `atrium curl -v` went: the access line that the pod wrote about it; where that cannot be had
// (access log off, no right to read logs), what the controller's explain says about such a request.
import type { IncomingMessage } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { printable } from '../../controller/report/printable.ts'
import type { Explanation } from '../../dataplane/explain-types.ts'
import { duration } from '../output/units.ts'
import type { CurlRequest } from './curl-request.ts'
import { type Kubernetes, wordsOf } from './kubernetes.ts'
import { openSession } from './session.ts'

/** A request that was answered. */
export interface Answered {
  readonly wanted: CurlRequest
  readonly pod: string
  readonly response: IncomingMessage
  /** `performance.now()` before it was sent. */
  readonly started: number
}

/** An access line, parsed; see dataplane/runtime/access-log-line.ts. */
type AccessFields = Readonly<Record<string, unknown>>

/** A line is written some tenths of a second after the answer. */
const TRIES = 6
const BETWEEN_MS = 300

/** What went where, for people. */
export async function wayLines(kubernetes: Kubernetes, answered: Answered): Promise<readonly string[]> {
  const line = await accessLine(kubernetes, answered)
  if (line !== undefined) return lineTexts(line).map(printable)
  try {
    const session = await openSession(answered.wanted)
    try {
      const explanation = (await session.json('/api/v1/explain', queryOf(answered.wanted))) as Explanation
      return [
        'way       no line in the access log of that pod; explain says where it goes:',
        ...explained(explanation),
      ].map(printable)
    } finally {
      session.close()
    }
  } catch (error) {
    return [printable(`way       not known: no line in the access log of ${answered.pod}, and ${wordsOf(error)}`)]
  }
}

async function accessLine(kubernetes: Kubernetes, answered: Answered): Promise<AccessFields | undefined> {
  const { wanted, pod, response, started } = answered
  const path = `/api/v1/namespaces/${wanted.releaseNamespace}/pods/${pod}/log`
  for (let attempt = 1; attempt <= TRIES; attempt++) {
    await sleep(BETWEEN_MS)
    const sinceSeconds = Math.ceil((performance.now() - started) / 1_000) + 1
    const lines = await kubernetes.lines(path, { sinceSeconds })
    if (lines === undefined) return undefined
    const found = lines.map(fieldsOf).findLast((fields) => fields !== undefined && isOf(fields, wanted, response))
    if (found !== undefined) return found
  }
  return undefined
}

function fieldsOf(line: string): AccessFields | undefined {
  if (!line.startsWith('{"event.name":"http.access"')) return undefined
  try {
    const fields: AccessFields = JSON.parse(line)
    return fields
  } catch {
    return undefined
  }
}

/** The gateway's own answers carry the id of their line; of the others only this command comes from the pod itself. */
function isOf(fields: AccessFields, { url, request, data }: CurlRequest, { headers, statusCode }: IncomingMessage) {
  const id = headers['x-atrium-error'] === undefined ? undefined : headers['x-request-id']
  if (id !== undefined) return fields['request_id'] === id
  const peer = fields['network.peer.address']
  return (
    (peer === '127.0.0.1' || peer === '::1') &&
    fields['http.request.method'] === (request ?? (data === undefined ? 'GET' : 'POST')) &&
    fields['http.response.status_code'] === statusCode &&
    fields['url.path'] === url.pathname
  )
}

/** The lines for an access line. */
export function lineTexts(fields: AccessFields): readonly string[] {
  const text = (name: string) => (fields[name] === undefined ? '' : String(fields[name]))
  const route = text('atrium.route')
  const endpoint = text('atrium.endpoint')
  const error = text('error.type')
  const policy = text('atrium.policy')
  const resends = Number(fields['http.request.resend_count'] ?? 0)
  const times = [`${duration(Number(fields['duration_ms'] ?? 0))} in all`]
  if (fields['atrium.upstream_ms'] !== undefined) {
    times.push(`${duration(Number(fields['atrium.upstream_ms']))} of them the backend's`)
  }
  return [
    `tenant    ${text('atrium.tenant') || 'none owns that host'}`,
    ...(route === '' ? [] : [`route     ${text('atrium.route_namespace')}/${route}, rule ${text('atrium.rule')}`]),
    ...(endpoint === ''
      ? []
      : [`backend   ${text('atrium.backend')} at ${endpoint}${resends === 0 ? '' : `, attempt ${resends + 1}`}`]),
    ...(error === ''
      ? []
      : [`answered  by the gateway: ${error}${policy === '' ? '' : ` (${policy})`}; atrium help ${error}`]),
    `time      ${times.join(', ')}`,
  ]
}

function queryOf({ url, request, header = [], data }: CurlRequest) {
  return {
    url: url.href,
    method: request ?? (data === undefined ? 'GET' : 'POST'),
    headers: header.map(({ name, value }) => [name, value]),
  }
}

function explained({ tenant, route, backends, result }: Explanation): readonly string[] {
  return [
    ...(tenant === null ? [] : [`tenant    ${tenant}`]),
    ...(route === null
      ? []
      : [`route     ${route.namespace}/${route.name}, rule ${route.ruleName === '' ? route.rule : route.ruleName}`]),
    ...backends.map(({ service, endpoints }) => {
      const places = endpoints.map(({ address, port }) => `${address}:${port}`)
      return `backend   ${service.namespace}/${service.name}:${service.port} at ${places.join(' or ') || 'no endpoint'}`
    }),
    `result    ${result}`,
  ]
}

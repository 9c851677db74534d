// The request to the backend: the client's fields without what ended here, and the gateway's own behind them. Pure.
// exchange.ts calls it once for each request; every attempt sends the same.
import type { RouteProgram } from '../build/program.ts'
import type { ClientStream } from './carrier.ts'
import { FieldList } from './field-list.ts'
import { forwardedNode } from './forwarded.ts'
import type { ReceivedRequest } from './received-request.ts'
import type { UpstreamRequest } from './upstream.ts'

/** Everything decided: nothing of it is looked at again by the client of the endpoint. */
export function upstreamRequest(
  stream: Pick<ClientStream, 'request' | 'connection' | 'bodyLength' | 'websocket' | 'expectsContinue'>,
  route: RouteProgram,
  target: string,
  requestId: string,
): UpstreamRequest {
  const { request, connection } = stream
  const rewritten = route.plan.rewrite?.hostname ?? null
  const fields = ['host', rewritten ?? request.authority, ...request.fields()]
  const peer = connection.client.peer
  const hops = request.hops
  const host = hops?.host ?? request.authority
  fields.push(
    'x-forwarded-for',
    hops === null || hops.forwardedFor === '' ? peer : `${hops.forwardedFor}, ${peer}`,
    'x-forwarded-proto',
    request.scheme,
    'x-forwarded-host',
    host,
    'x-forwarded-port',
    hops?.port ?? String(request.visiblePort),
    'x-real-ip',
    request.client.address,
    'forwarded',
    forwardedValue(request, peer),
    'x-request-id',
    requestId,
  )
  return {
    method: request.method,
    target,
    fields: changed(fields, route),
    bodyLength: stream.bodyLength,
    websocket: stream.websocket,
    expectContinue: stream.expectsContinue,
  }
}

function forwardedValue(request: ReceivedRequest, peer: string): string {
  const authority = request.authority
  const host = authority.includes(':') ? `"${authority}"` : authority
  const element = `for=${forwardedNode(peer)};host=${host};proto=${request.scheme}`
  const received = request.hops?.forwarded ?? ''
  return received === '' ? element : `${received}, ${element}`
}

/** The rule's own changes come last: what its author sets holds, also over a field of the gateway. */
function changed(fields: string[], route: RouteProgram): readonly string[] {
  if (route.changeRequestHeaders === null) return fields
  const lower: string[] = []
  for (let at = 0; at < fields.length; at += 2) lower.push((fields[at] ?? '').toLowerCase())
  const list = new FieldList(fields, lower)
  route.changeRequestHeaders(list)
  return list.fields()
}

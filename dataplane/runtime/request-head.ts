// From a parser's head to the one canonical request: judged, stripped of the fields that end here or belong to the
// gateway before anybody looks, the client resolved through trusted hops. Pure; every codec calls it.
import type { GatewayErrorCode } from '../../model/gateway-error.ts'
import type { ClientConnection } from './carrier.ts'
import { endsHere, listedNames, ownedByGateway } from './field-rules.ts'
import { believeHops, type ForwardedFields } from './forwarded.ts'
import { ReceivedRequest } from './received-request.ts'
import { checkHead, type RawHead } from './request-check.ts'

/** A request that may go to the exchange, with what the codec needs to read its body. */
export interface Received {
  readonly request: ReceivedRequest
  readonly bodyLength: number | null
  readonly expectsContinue: boolean
  readonly websocket: boolean
  readonly closes: boolean
}

const REQUEST_ID = /^[A-Za-z0-9._:@=+/-]{1,128}$/

/** Judges and canonicalises a head. Returns the code of the answer where it is refused: answer, then close. */
export function receiveRequest(raw: RawHead, connection: ClientConnection): Received | GatewayErrorCode {
  const checked = checkHead(raw)
  if (typeof checked === 'string') return checked

  // Names that Connection lists end here too, but what the gateway owns is not the client's to delete.
  const listed = checked.connection.length === 0 ? undefined : listedNames(checked.connection)
  const flat: string[] = []
  const lower: string[] = []
  let owned: string[] | undefined
  for (let at = 0; at < checked.lower.length; at += 1) {
    const name = checked.lower[at] ?? ''
    if (ownedByGateway(name)) {
      owned ??= []
      owned.push(name, raw.fields[at * 2 + 1] ?? '')
    } else if (name === 'trailer' && checked.bodyLength !== null) {
      // Without chunks there is no place for trailers.
    } else if (name !== 'host' && !endsHere(name) && !listed?.has(name)) {
      flat.push(raw.fields[at * 2] ?? '', raw.fields[at * 2 + 1] ?? '')
      lower.push(name)
    }
  }

  const hops =
    connection.trustedHop && owned !== undefined
      ? believeHops(connection.client, forwardedFields(owned), connection.trusted)
      : null
  const givenId = connection.trustedHop && owned !== undefined ? (valuesOf(owned, 'x-request-id')[0] ?? '') : ''
  const request = new ReceivedRequest(
    {
      method: raw.method,
      scheme: hops?.scheme ?? (connection.secure ? 'https' : 'http'),
      host: checked.host,
      path: checked.path,
      query: checked.query,
      hostPort: checked.port,
      client: hops?.client ?? connection.client,
      hops,
      givenId: REQUEST_ID.test(givenId) ? givenId : '',
    },
    flat,
    lower,
  )
  return {
    request,
    bodyLength: checked.bodyLength,
    expectsContinue: checked.expectsContinue,
    websocket: checked.websocket,
    closes: checked.closes,
  }
}

function forwardedFields(owned: readonly string[]): ForwardedFields {
  return {
    forwardedFor: valuesOf(owned, 'x-forwarded-for'),
    proto: valuesOf(owned, 'x-forwarded-proto'),
    host: valuesOf(owned, 'x-forwarded-host'),
    port: valuesOf(owned, 'x-forwarded-port'),
    forwarded: valuesOf(owned, 'forwarded'),
  }
}

function valuesOf(owned: readonly string[], name: string): string[] {
  const values: string[] = []
  for (let at = 0; at < owned.length; at += 2) {
    if (owned[at] === name) values.push(owned[at + 1] ?? '')
  }
  return values
}

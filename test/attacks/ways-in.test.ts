// Every way in passes the same checks: a denied address and a used up limit let nothing through to the backend, however
// the request is written.
import { expect, it } from 'vitest'
import { startBackend } from '../support/backend.ts'
import { makeCa, makeLeaf } from '../support/certificates.ts'
import { RawClient } from '../support/raw-client.ts'
import { createTrial } from '../support/trial.ts'
import { certificate, policy, route, service, tenant, to, world } from '../support/world.ts'

const trial = createTrial()
const HANDSHAKE =
  'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n'

/** One request for `host`, in each way that reaches a route. */
const WAYS: readonly (readonly [string, (host: string) => string])[] = [
  ['GET', (host) => `GET /x HTTP/1.1\r\nHost: ${host}\r\n\r\n`],
  ['HEAD', (host) => `HEAD /x HTTP/1.1\r\nHost: ${host}\r\n\r\n`],
  ['OPTIONS', (host) => `OPTIONS /x HTTP/1.1\r\nHost: ${host}\r\n\r\n`],
  [
    'a preflight',
    (host) =>
      `OPTIONS /x HTTP/1.1\r\nHost: ${host}\r\nOrigin: http://o.test\r\nAccess-Control-Request-Method: GET\r\n\r\n`,
  ],
  ['PROPFIND', (host) => `PROPFIND /x HTTP/1.1\r\nHost: ${host}\r\n\r\n`],
  ['QUERY with a body', (host) => `QUERY /x HTTP/1.1\r\nHost: ${host}\r\nContent-Length: 1\r\n\r\na`],
  [
    'POST in chunks',
    (host) => `POST /x HTTP/1.1\r\nHost: ${host}\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n`,
  ],
  [
    'POST that waits for 100',
    (host) => `POST /x HTTP/1.1\r\nHost: ${host}\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n`,
  ],
  ['HTTP/1.0', (host) => `GET /x HTTP/1.0\r\nHost: ${host}\r\n\r\n`],
  ['an absolute target', (host) => `GET http://${host}/x HTTP/1.1\r\nHost: ${host}\r\n\r\n`],
  ['capitals, a dot and a port', (host) => `GET /x HTTP/1.1\r\nHost: ${host.toUpperCase()}.:80\r\n\r\n`],
  ['a WebSocket handshake', (host) => `GET /x HTTP/1.1\r\nHost: ${host}\r\n${HANDSHAKE}\r\n`],
  ['another upgrade', (host) => `GET /x HTTP/1.1\r\nHost: ${host}\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n`],
  [
    'forged hops',
    (host) =>
      `GET /x HTTP/1.1\r\nHost: ${host}\r\nX-Forwarded-For: 10.0.0.1\r\nForwarded: for=10.0.0.1\r\nX-Real-IP: 10.0.0.1\r\n\r\n`,
  ],
  ['a method in a header', (host) => `GET /x HTTP/1.1\r\nHost: ${host}\r\nX-HTTP-Method-Override: TRACE\r\n\r\n`],
]

async function setUp() {
  const web = await trial.keep(startBackend('web'))
  const leaf = await makeLeaf(await makeCa(), { names: ['*.a.test'] })
  const tls = { tls: { certificateRefs: [{ name: 'c' }], plainHTTP: 'Serve' } }
  const gateway = await trial.gateway(
    world(
      tenant(['*.a.test']),
      certificate('c', leaf),
      service('web', [web.port]),
      route('denied', ['denied.a.test'], [to('web')], tls),
      route('used', ['used.a.test'], [to('web')], tls),
      policy('deny', ['denied'], { access: { ip: { allow: ['10.0.0.0/8'] } } }),
      policy('limit', ['used'], { rateLimits: [{ name: 'one', rate: '1/h', key: [{ clientIP: {} }] }] }),
    ),
    { tls: {} },
  )
  const open = async (over: string, host: string) => {
    const secure = { servername: host, rejectUnauthorized: false }
    const client = await (over === 'TCP' ? RawClient.connect(gateway.port) : RawClient.connect(gateway.tlsPort, secure))
    await trial.keep({ close: () => client.destroy() })
    return client
  }
  return { open, web }
}

it.each(['TCP', 'TLS'])('none passes a policy by, over %s', async (over) => {
  const { open, web } = await setUp()
  const first = await open(over, 'used.a.test')
  expect((await first.request('GET / HTTP/1.1\r\nHost: used.a.test\r\n\r\n')).status).toBe(200)
  const answers: [string, number, number, number][] = []
  for (const [way, write] of WAYS) {
    const statuses: number[] = []
    for (const host of ['denied.a.test', 'used.a.test']) {
      const text = write(host)
      const method = text.slice(0, text.indexOf(' '))
      statuses.push((await (await open(over, host)).request(text, method)).status)
    }
    // Behind another request of the same connection, in one packet. Where a tunnel is asked for there, it is refused.
    const pipelined = await open(over, 'denied.a.test')
    const text = write('denied.a.test')
    await pipelined.send(`GET /first HTTP/1.1\r\nHost: denied.a.test\r\n\r\n${text}`)
    await pipelined.answer()
    const behind = await pipelined.answer(text.slice(0, text.indexOf(' ')))
    answers.push([way, statuses[0] ?? 0, statuses[1] ?? 0, behind.status])
  }
  expect(answers).toEqual(WAYS.map(([way]) => [way, 403, 429, way === 'a WebSocket handshake' ? 400 : 403]))
  expect(web.seen.length).toBe(1)
})

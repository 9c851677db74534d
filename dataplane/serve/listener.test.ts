import { connect } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { AddressRanges } from '../../model/address.ts'
import { field } from '../../test/support/client-call.ts'
import { MemoryUpstream, type UpstreamScript } from '../../test/support/memory-upstream.ts'
import { oneRoute, type OneRoute, type OneRouteContext } from '../../test/support/one-route.ts'
import { RawClient } from '../../test/support/raw-client.ts'
import { createHandler } from '../runtime/exchange.ts'
import { createRefuse } from '../runtime/exchange-refusal.ts'
import { ConnectionRoom } from './connection-room.ts'
import { type DataListener, listen } from './listener.ts'

const closing: (() => Promise<void> | void)[] = []
const KEY = 'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n'

interface SetUp {
  readonly backend: MemoryUpstream
  readonly context: OneRouteContext
  readonly listener: DataListener
  open(): Promise<RawClient>
}

async function setUp(
  options: OneRoute = {},
  onAttempt?: (script: UpstreamScript) => void,
  mostConnections = 10_000,
): Promise<SetUp> {
  const backend = new MemoryUpstream()
  backend.onAttempt = onAttempt
  const context = oneRoute([backend], options)
  const listener = await listen({
    host: '127.0.0.1',
    port: 0,
    handler: createHandler(context),
    refuse: createRefuse(context),
    trustForwarded: new AddressRanges([]),
    leases: context.leases,
    room: new ConnectionRoom(mostConnections),
    fault: (error) => context.fault(error, { requestId: '', tenant: '', route: null }),
  })
  closing.push(
    () => context.close(),
    () => listener.close(),
  )
  const open = async () => {
    const client = await RawClient.connect(listener.port)
    closing.push(() => client.destroy())
    return client
  }
  return { backend, context, listener, open }
}

const echo = (script: UpstreamScript) => {
  const answer = () => {
    if (script.bodyEnded) script.answer(200, [], `${script.request.target} ${script.body}`)
    else setTimeout(answer, 1)
  }
  answer()
}

afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

describe('bytes that are no request', () => {
  const cases: [string, string, number][] = [
    ['two Hosts', 'GET / HTTP/1.1\r\nHost: app.test\r\nHost: app.test\r\n\r\n', 400],
    ['no Host', 'GET / HTTP/1.1\r\nX: 1\r\n\r\n', 400],
    [
      'both lengths',
      'POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n',
      400,
    ],
    ['chunked twice', 'POST / HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked, chunked\r\n\r\n', 400],
    ['gzip, chunked', 'POST / HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: gzip, chunked\r\n\r\n', 400],
    ['two lengths', 'POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx', 400],
    ['a signed length', 'POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: +1\r\n\r\nx', 400],
    ['folding', 'GET / HTTP/1.1\r\nHost: app.test\r\nX: a\r\n b\r\n\r\n', 400],
    ['a blank before the colon', 'GET / HTTP/1.1\r\nHost : app.test\r\n\r\n', 400],
    ['bare LF', 'GET / HTTP/1.1\nHost: app.test\n\n', 400],
    ['bare CR', 'GET / HTTP/1.1\r\nHost: app.test\rX: 1\r\n\r\n', 400],
    ['a NUL', 'GET / HTTP/1.1\r\nHost: app.test\r\nX: a\0\r\n\r\n', 400],
    ['an underscore', 'GET / HTTP/1.1\r\nHost: app.test\r\nx_user: 1\r\n\r\n', 400],
    ['HTTP/0.9', 'GET /\r\n\r\n', 400],
    ['HTTP/2.0', 'GET / HTTP/2.0\r\nHost: app.test\r\n\r\n', 400],
    ['an unknown method', 'FOO / HTTP/1.1\r\nHost: app.test\r\n\r\n', 400],
    ['a fragment', 'GET /#a HTTP/1.1\r\nHost: app.test\r\n\r\n', 400],
    ['another absolute target', 'GET http://b.test/ HTTP/1.1\r\nHost: app.test\r\n\r\n', 400],
    ['chunks in 1.0', 'POST / HTTP/1.0\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n', 400],
    ['CONNECT', 'CONNECT app.test:80 HTTP/1.1\r\nHost: app.test:80\r\n\r\n', 405],
    ['TRACE', 'TRACE / HTTP/1.1\r\nHost: app.test\r\n\r\n', 405],
    ['Expect: tea', 'POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 1\r\nExpect: tea\r\n\r\n', 417],
    ['a long target', `GET /${'a'.repeat(9_000)} HTTP/1.1\r\nHost: app.test\r\n\r\n`, 414],
    ['an endless target', `GET /${'a'.repeat(60_000)}`, 414],
    ['101 fields', `GET / HTTP/1.1\r\nHost: app.test\r\n${'X: 1\r\n'.repeat(100)}\r\n`, 431],
    ['2000 fields', `GET / HTTP/1.1\r\nHost: app.test\r\n${'X: 1\r\n'.repeat(2_000)}\r\n`, 431],
    ['endless fields', `GET / HTTP/1.1\r\nHost: app.test\r\nX: ${'a'.repeat(60_000)}`, 431],
    ['rubbish', '\x16\x03\x01\x02\x00\x01', 400],
  ]

  it.each(cases)('%s', async (_, text, status) => {
    const { open, backend, context } = await setUp({}, echo)
    const client = await open()
    await client.send(text)
    const answer = await client.answer('POST')
    expect(answer.status).toBe(status)
    expect(field(answer.fields, 'connection')).toBe('close')
    expect(JSON.parse(answer.body.toString()).request_id).toBe(field(answer.fields, 'x-request-id'))
    await client.closed()
    expect(client.error).toBe('')
    expect(backend.scripts.length).toBe(0)
    expect(context.records.map((record) => [record.tenant, record.status])).toEqual([['', status]])
  })

  it('are answered after what came before them, and nothing behind them is read', async () => {
    const { open, backend } = await setUp({}, echo)
    const client = await open()
    const good = (path: string) => `GET ${path} HTTP/1.1\r\nHost: app.test\r\n\r\n`
    await client.send(`${good('/1')}${good('/2')}GET / HTTP/1.1\r\nHost : x\r\n\r\n${good('/3')}`)
    expect((await client.answer()).body.toString()).toBe('/1 ')
    expect((await client.answer()).body.toString()).toBe('/2 ')
    expect((await client.answer()).status).toBe(400)
    expect(await client.rest()).toBe('')
    expect(backend.scripts.map(({ request }) => request.target)).toEqual(['/1', '/2'])
  })

  it('inside a body end its request at both sides', async () => {
    const { open, backend, context } = await setUp()
    const client = await open()
    await client.send('POST / HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nzz\r\n')
    expect((await client.answer('POST')).status).toBe(400)
    const script = await backend.next()
    expect([script.aborted, script.bodyEnded]).toEqual([true, false])
    expect(context.leases.size).toBe(0)
  })
})

describe('one connection', () => {
  it('answers pipelined requests in order, whoever is quicker', async () => {
    const { open, backend } = await setUp()
    const client = await open()
    await client.send(Array.from({ length: 20 }, (_, at) => `GET /${at} HTTP/1.1\r\nHost: app.test\r\n\r\n`).join(''))
    for (let at = 0; at < 20; at += 1) {
      const script = await backend.next()
      expect(script.request.target).toBe(`/${at}`)
      // One at a time: nothing of a later request is at work before the earlier one is answered.
      expect(backend.scripts.length).toBe(at + 1)
      script.answer(200, [], String(at))
      expect((await client.answer()).body.toString()).toBe(String(at))
    }
  })

  it('answers every one of many pipelined requests, and reads no further than it can hold', async () => {
    const { open, backend, listener } = await setUp({}, echo)
    const client = await open()
    let sent = 0
    const send = () => client.send(`GET /${sent++} HTTP/1.1\r\nHost: app.test\r\n\r\n`)
    for (let ahead = 0; ahead < 150; ahead += 1) await send()
    for (let at = 0; at < 1_500; at += 1) {
      expect((await client.answer()).body.toString()).toBe(`/${at} `)
      await send()
    }
    expect(listener.connections().open).toBe(1)
    expect(backend.scripts.length).toBeGreaterThanOrEqual(1_500)
  })

  it('never takes an unread body for a request', async () => {
    const { open, backend, context } = await setUp()
    const client = await open()
    const smuggled = 'GET /smuggled HTTP/1.1\r\nHost: app.test\r\n\r\n'
    await client.send(`POST /a HTTP/1.1\r\nHost: nobody.test\r\nContent-Length: ${smuggled.length}\r\n\r\n`)
    expect((await client.answer('POST')).status).toBe(404)
    await client.send(`${smuggled}GET /b HTTP/1.1\r\nHost: app.test\r\n\r\n`)
    const script = await backend.next()
    expect(script.request.target).toBe('/b')
    script.answer(200)
    expect((await client.answer()).status).toBe(200)
    // Chunked and refused: how much is to come is unknown, so the connection ends.
    const other = await open()
    await other.send('POST /a HTTP/1.1\r\nHost: nobody.test\r\nTransfer-Encoding: chunked\r\n\r\n')
    expect(field((await other.answer('POST')).fields, 'connection')).toBe('close')
    await other.send(`0\r\n\r\n${smuggled}`)
    expect(await other.rest()).toBe('')
    expect(backend.scripts.length).toBe(1)
    expect(context.faults).toEqual([])
  })

  it('answers HTTP/1.0 without chunks and closes', async () => {
    const { open, backend } = await setUp()
    const client = await open()
    await client.send('GET / HTTP/1.0\r\nHost: app.test\r\nConnection: keep-alive\r\n\r\n')
    const script = await backend.next()
    script.interim(103, ['Link', '</a>'])
    script.head(200, ['Trailer', 'X'], null)
    script.chunk('abc')
    script.finish(['X', '1'])
    const head = await client.head()
    expect(head.interim).toEqual([])
    expect(field(head.fields, 'transfer-encoding')).toBeUndefined()
    expect(field(head.fields, 'connection')).toBe('close')
    expect(await client.rest()).toBe('abc')
  })

  it('ignores upgrades other than WebSocket, and never tunnels them', async () => {
    const { open, backend } = await setUp({}, echo)
    const client = await open()
    const h2c = 'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n'
    const next = 'GET /next HTTP/1.1\r\nHost: app.test\r\n\r\n'
    const answer = await client.request(`GET /h2 HTTP/1.1\r\nHost: app.test\r\n${h2c}\r\n${next}`)
    expect([answer.status, field(answer.fields, 'connection')]).toEqual([200, 'close'])
    expect(await client.rest()).toBe('')
    expect(backend.scripts.length).toBe(1)
    const [script] = backend.scripts
    expect(script?.request.websocket).toBe(false)
    for (const name of ['upgrade', 'http2-settings', 'connection']) {
      expect(field(script?.request.fields ?? [], name)).toBeUndefined()
    }
  })

  it('answers for itself what is asked of the server itself', async () => {
    const { open, backend, context } = await setUp({}, echo)
    const client = await open()
    for (const target of ['*', 'http://app.test']) {
      const answer = await client.request(`OPTIONS ${target} HTTP/1.1\r\nHost: app.test\r\n\r\n`)
      expect([answer.status, field(answer.fields, 'allow')]).toEqual([
        204,
        'GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS',
      ])
    }
    expect((await client.request('OPTIONS * HTTP/1.1\r\nHost: nobody.test\r\n\r\n')).status).toBe(404)
    expect((await client.request('OPTIONS / HTTP/1.1\r\nHost: app.test\r\n\r\n')).status).toBe(200)
    expect(backend.scripts.length).toBe(1)
    expect(context.records[0]).toMatchObject({ tenant: 'acme', path: '*', status: 204 })
    expect((await client.request('GET * HTTP/1.1\r\nHost: app.test\r\n\r\n')).status).toBe(400)
  })

  it('logs whom a CONNECT wanted, and no password of any target', async () => {
    const { open, context } = await setUp()
    for (const target of ['joe:s3cret@b.test:443', 'b.test:443']) {
      await (await open()).request(`CONNECT ${target} HTTP/1.1\r\nHost: b.test:443\r\n\r\n`)
    }
    await (await open()).request('GET http://joe:s3cret@app.test/p@q?a=@ HTTP/1.1\r\nHost: app.test\r\n\r\n')
    expect(context.records.map(({ method, path, query }) => [method, path, query])).toEqual([
      ['CONNECT', 'b.test:443', ''],
      ['CONNECT', 'b.test:443', ''],
      ['GET', 'http://app.test/p@q', 'a=@'],
    ])
  })

  it('refuses a handshake behind an unanswered request', async () => {
    const { open, backend } = await setUp()
    const client = await open()
    await client.send(
      `GET /1 HTTP/1.1\r\nHost: app.test\r\n\r\nGET /2 HTTP/1.1\r\nHost: app.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n${KEY}\r\n`,
    )
    ;(await backend.next()).answer(200)
    expect([(await client.answer()).status, (await client.answer()).status]).toEqual([200, 400])
    expect(backend.scripts.length).toBe(1)
  })

  it('counts for its tenant until it closes', async () => {
    const { open, context } = await setUp({ limits: { connections: 2 } }, echo)
    const get = 'GET / HTTP/1.1\r\nHost: app.test\r\n\r\n'
    const [first, second, third] = [await open(), await open(), await open()]
    for (const client of [first, second, first]) expect((await client.request(get)).status).toBe(200)
    const refused = await third.request(get)
    expect([refused.status, field(refused.fields, 'x-atrium-error')]).toEqual([503, 'Overloaded'])
    await third.closed()
    const { connections } = context.state.tenant('acme')
    expect(connections.value()).toBe(2)
    first.destroy()
    await until(() => connections.value() === 1)
    expect((await (await open()).request(get)).status).toBe(200)
  })

  it('leaves its place where it is idle and no place is left, and keeps it where it serves', async () => {
    const { open, backend, listener } = await setUp({}, undefined, 2)
    const busy = await open()
    await busy.send('GET / HTTP/1.1\r\nHost: app.test\r\n\r\n')
    const script = await backend.next()
    const idle = await open()
    await idle.send('GET / HTTP/1.1\r\nHost: a')
    await pause(20)
    const next = await open()
    await idle.closed()
    await next.send('GET / HTTP/1.1\r\nHost: app.test\r\n\r\n')
    const other = await backend.next()
    const late = await open()
    await late.closed()
    script.answer(200)
    other.answer(200)
    expect([(await busy.answer()).status, (await next.answer()).status]).toEqual([200, 200])
    expect(listener.connections().open).toBe(2)
  })

  it('is not reset under an early answer to a body that was held back', async () => {
    const { open, backend } = await setUp({ limits: { bodySize: 100_000_000 } })
    const client = await open()
    const size = 60_000_000
    await client.send(`POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: ${size}\r\n\r\n`)
    const script = await backend.next()
    script.room = false
    // More than all buffers hold, so that the gateway has stopped reading when the backend refuses.
    const sending = client.send(Buffer.alloc(size))
    await pause(100)
    script.answer(413, [], 'too much')
    await sending
    const answer = await client.answer('POST')
    expect([answer.status, answer.body.toString(), client.error]).toEqual([413, 'too much', ''])
  })

  it('is not reset under an answer that follows Connection: close', async () => {
    const { open } = await setUp({}, echo)
    const client = await open()
    await client.send(
      'GET /1 HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\n\r\nGET /2 HTTP/1.1\r\nHost: app.test\r\n\r\n',
    )
    expect((await client.answer()).body.toString()).toBe('/1 ')
    expect([await client.rest(), client.error]).toEqual(['', ''])
  })
})

describe('a drain', () => {
  it('finishes what runs, ends what is idle, takes nothing new', async () => {
    const { open, backend, listener } = await setUp()
    const idle = await open()
    const busy = await open()
    await busy.send('GET /busy HTTP/1.1\r\nHost: app.test\r\n\r\n')
    const script = await backend.next()
    const drained = listener.drain(5_000)
    await idle.closed()
    expect(idle.error).toBe('')
    await expect(RawClient.connect(listener.port)).rejects.toThrow()
    script.answer(200, [], 'done')
    const answer = await busy.answer()
    expect([answer.body.toString(), field(answer.fields, 'connection')]).toEqual(['done', 'close'])
    await busy.closed()
    busy.socket.end()
    expect(await drained).toEqual({ finished: 2, cut: 0 })
  })

  it('answers whoever comes back to an idle connection in time, and ends it after that', async () => {
    const { open, listener } = await setUp({}, echo)
    const [back, never] = [await open(), await open()]
    const began = performance.now()
    const drained = listener.drain(5_000, 1_000)
    await new Promise((resolve) => setTimeout(resolve, 600))
    await back.send('GET / HTTP/1.1\r\nHost: app.test\r\n\r\n')
    const answer = await back.answer()
    expect([answer.status, field(answer.fields, 'connection')]).toEqual([200, 'close'])
    await never.closed()
    expect(performance.now() - began).toBeGreaterThan(900)
    back.socket.end()
    expect(await drained).toEqual({ finished: 2, cut: 0 })
  })

  it('answers a request that is on its way on a connection just used', async () => {
    const { open, listener } = await setUp({}, echo)
    const client = await open()
    const get = 'GET / HTTP/1.1\r\nHost: app.test\r\n\r\n'
    expect((await client.request(get)).status).toBe(200)
    const drained = listener.drain(2_000)
    const answer = await client.request(get)
    expect([answer.status, field(answer.fields, 'connection')]).toEqual([200, 'close'])
    await client.closed()
    client.socket.end()
    expect(await drained).toEqual({ finished: 1, cut: 0 })
  })

  it('answers what it has read: all requests that wait, the last one with the news', async () => {
    const { open, backend, listener } = await setUp()
    const client = await open()
    const get = (at: number) => `GET /${at} HTTP/1.1\r\nHost: app.test\r\n\r\n`
    await client.send(get(0) + get(1) + get(2))
    const first = await backend.next()
    const drained = listener.drain(5_000)
    first.answer(200)
    expect(field((await client.answer()).fields, 'connection')).not.toBe('close')
    ;(await backend.next()).answer(200)
    expect(field((await client.answer()).fields, 'connection')).not.toBe('close')
    ;(await backend.next()).answer(200)
    expect(field((await client.answer()).fields, 'connection')).toBe('close')
    await client.closed()
    client.socket.end()
    expect(await drained).toEqual({ finished: 1, cut: 0 })
  })

  it('ends what does not finish', async () => {
    const { open, backend, listener, context } = await setUp()
    const client = await open()
    await client.send('GET / HTTP/1.1\r\nHost: app.test\r\n\r\n')
    const script = await backend.next()
    expect(await listener.drain(20)).toEqual({ finished: 0, cut: 1 })
    expect(script.aborted).toBe(true)
    expect((await client.answer()).status).toBe(503)
    expect(context.records[0]?.error).toBe('Draining')
  })
})

it('gives everything back after requests cut off at random points', { timeout: 60_000 }, async () => {
  const { listener, context } = await setUp({ limits: { concurrency: 50, connections: 1_000 } }, (script) => {
    const step = Math.random()
    if (step < 0.1) script.fail({ code: 'UpstreamConnectFailed', nothingSent: true })
    else if (step < 0.2) script.fail()
    else if (step < 0.3) {
      script.head(200, [], 100)
      script.chunk('abc')
      script.fail({ answered: true })
    } else if (step < 0.4) script.head(200, [], null)
    else if (!script.aborted) script.answer(200, [], 'ok')
  })
  const attempt = () =>
    new Promise<void>((resolve) => {
      const socket = connect(listener.port, '127.0.0.1')
      const text = 'POST / HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n'
      socket.write(text.slice(0, Math.ceil(Math.random() * text.length)))
      socket.on('error', () => {})
      socket.on('close', () => resolve())
      socket.resume()
      setTimeout(() => socket.destroy(), Math.random() * 8)
    })
  for (let round = 0; round < 60; round += 1) await Promise.all(Array.from({ length: 50 }, attempt))
  await until(() => listener.connections().open === 0)
  const tenant = context.state.tenant('acme')
  expect([tenant.concurrency.value(), tenant.connections.value(), context.state.read('acme').active]).toEqual([0, 0, 0])
  expect([context.leases.size, context.faults]).toEqual([0, []])
})

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, milliseconds)
  })
}

async function until(holds: () => boolean): Promise<void> {
  for (let turn = 0; turn < 1_000 && !holds(); turn += 1) await new Promise((resolve) => setTimeout(resolve, 5))
  expect(holds()).toBe(true)
}

// What every codec must do for an exchange. Three run it: Fastify over sockets, the raw HTTP/1.1 stub over sockets, and
// the carrier in memory. The backend is scripted, so each step is seen from both ends.
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Filters } from '../../dataplane/build/chain.ts'
import type { OneRouteContext } from '../support/one-route.ts'
import { oneRoute, type OneRoute } from '../support/one-route.ts'
import { allOf, type CallOptions, type ClientCall, field } from '../support/client-call.ts'
import { MemoryUpstream, UpstreamTunnel } from '../support/memory-upstream.ts'

/** A codec under test. */
export interface CarrierHarness {
  call(options: CallOptions): ClientCall
  close(): Promise<void>
}

const KEY = 'dGhlIHNhbXBsZSBub25jZQ=='
const HANDSHAKE = [
  'Connection',
  'Upgrade',
  'Upgrade',
  'websocket',
  'Sec-WebSocket-Version',
  '13',
  'Sec-WebSocket-Key',
  KEY,
  'Sec-WebSocket-Protocol',
  'v1.x, v2.x',
]

/** Runs the suite. `open` starts the codec with the handler of a context. */
export function carrierSuite(name: string, open: (context: OneRouteContext) => Promise<CarrierHarness>): void {
  describe(`carrier: ${name}`, () => {
    let backend: MemoryUpstream
    let context: OneRouteContext
    let carrier: CarrierHarness
    const closing: (() => Promise<void> | void)[] = []

    async function start(options: OneRoute = {}): Promise<void> {
      backend = new MemoryUpstream()
      context = oneRoute([backend], options)
      carrier = await open(context)
      closing.push(
        () => carrier.close(),
        () => context.close(),
      )
    }

    /** Waits until every exchange has ended, then checks that all charges are given back. */
    async function settled(count: number): Promise<void> {
      await waitFor(() => context.records.length >= count)
      const tenant = context.state.tenant('acme')
      expect(context.records.length).toBe(count)
      expect(context.leases.size).toBe(0)
      expect(tenant.concurrency.value()).toBe(0)
      expect(context.state.read('acme').active).toBe(0)
      expect(tenant.endpoint(POOL, '10.0.0.1', 8080).inFlight()).toBe(0)
      expect(context.faults).toEqual([])
    }

    beforeEach(() => start())
    afterEach(async () => {
      for (const close of closing.splice(0)) await close()
    })

    it('passes a request and its answer', async () => {
      const call = carrier.call({ target: '/a/../b?x=1&y', fields: ['X-Own', 'one', 'x-own', 'two'] })
      const script = await backend.next()
      expect(script.request).toMatchObject({ method: 'GET', target: '/b?x=1&y', bodyLength: 0, websocket: false })
      expect(allOf(script.request.fields, 'x-own')).toEqual(['one', 'two'])
      expect(field(script.request.fields, 'host')).toBe('app.test')
      script.answer(201, ['X-Answer', 'yes', 'Set-Cookie', 'a=1', 'Set-Cookie', 'b=2'], 'hello')
      const head = await call.head()
      expect(head.status).toBe(201)
      expect(field(head.fields, 'x-answer')).toBe('yes')
      expect(allOf(head.fields, 'set-cookie')).toEqual(['a=1', 'b=2'])
      expect(field(head.fields, 'content-length')).toBe('5')
      expect(await call.text()).toBe('hello')
      await settled(1)
      expect(context.records[0]).toMatchObject({ status: 201, responseSize: 5, aborted: false, error: null })
    })

    it('passes bodies with a length and in chunks', async () => {
      const sized = carrier.call({ method: 'POST', bodyLength: 6 })
      await sized.write('abc')
      await sized.write('def')
      sized.end()
      const first = await backend.next()
      await backend.until(() => first.bodyEnded)
      expect([first.body, first.request.bodyLength]).toEqual(['abcdef', 6])
      first.answer(200, [], 'ok')
      expect(await sized.text()).toBe('ok')

      const chunked = carrier.call({ method: 'PUT', bodyLength: null })
      await chunked.write('one')
      const second = await backend.next()
      await backend.until(() => second.body === 'one')
      await chunked.write('two')
      chunked.end()
      await backend.until(() => second.bodyEnded)
      expect([second.body, second.request.bodyLength]).toEqual(['onetwo', null])
      second.head(200, [], null)
      second.chunk('a')
      second.chunk('b')
      second.finish()
      const head = await chunked.head()
      expect(field(head.fields, 'content-length')).toBeUndefined()
      expect(await chunked.text()).toBe('ab')
      await settled(2)
      expect(context.records.map((record) => record.requestSize)).toEqual([6, 6])
    })

    it('holds the client while the backend takes nothing', async () => {
      backend.onAttempt = (script) => {
        script.room = false
      }
      const call = carrier.call({ method: 'POST', bodyLength: 1_048_576 })
      const part = Buffer.alloc(16_384, 'x')
      let written = 0
      const upload = (async () => {
        for (; written < 1_048_576; written += part.length) await call.write(part)
        call.end()
      })()
      const script = await backend.next()
      await backend.until(() => script.body.length > 0)
      await pause(30)
      expect(script.body.length).toBeLessThanOrEqual(131_072)
      while (!script.bodyEnded) {
        script.drain()
        await pause(1)
      }
      await upload
      expect(script.body.length).toBe(1_048_576)
      script.answer(200)
      expect((await call.head()).status).toBe(200)
      await settled(1)
    })

    it('holds the backend while the client takes nothing', async () => {
      const call = carrier.call({})
      const script = await backend.next()
      script.head(200, [], null)
      await call.head()
      const part = Buffer.alloc(65_536, 'y')
      let sent = 0
      do {
        sent += part.length
        if (sent % 1_048_576 === 0) await pause(1)
      } while (script.chunk(part) && sent < 268_435_456)
      expect(script.held).toBe(true)
      expect(script.resumed).toBe(0)
      let got = 0
      while (got < sent) got += (await call.read())?.length ?? Number.POSITIVE_INFINITY
      await waitFor(() => script.resumed > 0)
      script.finish()
      expect(await call.read()).toBeUndefined()
      expect(got).toBe(sent)
      await settled(1)
    })

    it('gives a head at once, before any body', async () => {
      const call = carrier.call({})
      const script = await backend.next()
      script.head(200, ['content-type', 'text/event-stream'], null)
      expect((await call.head()).status).toBe(200)
      script.chunk('data: 1\n\n')
      expect(Buffer.from((await call.read()) ?? []).toString()).toBe('data: 1\n\n')
      script.chunk('data: 2\n\n')
      expect(Buffer.from((await call.read()) ?? []).toString()).toBe('data: 2\n\n')
      call.abort()
      await backend.until(() => script.aborted)
      await settled(1)
      expect(context.records[0]).toMatchObject({ status: 200, aborted: true })
    })

    it('passes an answer that comes before the body ended', async () => {
      const call = carrier.call({ method: 'POST', bodyLength: 10_000_000 })
      await call.write(Buffer.alloc(1_000))
      const script = await backend.next()
      await backend.until(() => script.body.length === 1_000)
      script.answer(413, [], 'too much')
      expect((await call.head()).status).toBe(413)
      expect(await call.text()).toBe('too much')
      await settled(1)
      expect(context.records[0]).toMatchObject({ status: 413, error: null, requestSize: 1_000 })
      call.abort()
    })

    it('passes announced trailers, both ways, and no others', async () => {
      const call = carrier.call({ method: 'POST', bodyLength: null, fields: ['Trailer', 'X-Sum, Authorization'] })
      await call.write('abc')
      call.end(['X-Sum', '3', 'X-Hidden', '1', 'Authorization', 'no'])
      const script = await backend.next()
      await backend.until(() => script.bodyEnded)
      expect(field(script.request.fields, 'trailer')).toBe('X-Sum, Authorization')
      expect(script.trailers).toEqual(['X-Sum', '3'])
      script.head(200, ['Trailer', 'X-Digest'], null)
      script.chunk('abc')
      script.finish(['X-Digest', 'd', 'Content-Length', '7', 'X-More', '1'])
      expect(await call.text()).toBe('abc')
      expect(call.trailers).toEqual(['X-Digest', 'd'])
      await settled(1)
    })

    it('passes interim answers', async () => {
      const call = carrier.call({})
      const script = await backend.next()
      script.interim(103, ['Link', '</a.css>; rel=preload', 'Connection', 'X-Hop', 'X-Hop', '1'])
      script.interim(102)
      script.answer(200)
      expect((await call.head()).status).toBe(200)
      expect(call.interim.map(({ status }) => status)).toEqual([103, 102])
      expect(field(call.interim[0]?.fields ?? [], 'link')).toBe('</a.css>; rel=preload')
      expect(field(call.interim[0]?.fields ?? [], 'x-hop')).toBeUndefined()
      await settled(1)
    })

    it('asks for the body when the backend does', async () => {
      const call = carrier.call({ method: 'POST', bodyLength: 3, fields: ['Expect', '100-continue'] })
      const script = await backend.next()
      expect(script.request.expectContinue).toBe(true)
      expect(field(script.request.fields, 'expect')).toBeUndefined()
      script.interim(100)
      await waitFor(() => true)
      await call.write('abc')
      call.end()
      await backend.until(() => script.bodyEnded)
      expect(script.body).toBe('abc')
      script.answer(201)
      expect((await call.head()).status).toBe(201)
      expect(call.interim.map(({ status }) => status)).toEqual([100])
      await settled(1)
    })

    it('gives one final answer where the backend refuses instead of asking', async () => {
      const call = carrier.call({ method: 'POST', bodyLength: 300_000, fields: ['Expect', '100-continue'] })
      const script = await backend.next()
      script.answer(413)
      expect((await call.head()).status).toBe(413)
      expect(call.interim).toEqual([])
      await settled(1)
    })

    it('sends no body where there is none', async () => {
      const cases = [
        { method: 'HEAD', status: 200, fields: ['Content-Length', '1234'], shown: '1234' },
        { method: 'GET', status: 204, fields: [], shown: undefined },
        { method: 'GET', status: 304, fields: ['Content-Length', '99', 'ETag', '"a"'], shown: '99' },
        { method: 'GET', status: 200, fields: [], shown: '0' },
      ]
      for (const { method, status, fields, shown } of cases) {
        const call = carrier.call({ method })
        const script = await backend.next()
        script.head(status, fields, 0)
        script.finish()
        const head = await call.head()
        expect([method, head.status, field(head.fields, 'content-length')]).toEqual([method, status, shown])
        expect(field(head.fields, 'transfer-encoding')).toBeUndefined()
        expect(await call.text()).toBe('')
      }
      await settled(cases.length)
    })

    it('aborts the backend when the client goes, at each phase', async () => {
      const before = carrier.call({})
      const first = await backend.next()
      before.abort()
      await backend.until(() => first.aborted)

      const uploading = carrier.call({ method: 'POST', bodyLength: 1_000 })
      await uploading.write('abc')
      const second = await backend.next()
      await backend.until(() => second.body === 'abc')
      uploading.abort()
      await backend.until(() => second.aborted)

      const downloading = carrier.call({})
      const third = await backend.next()
      third.head(200, [], 100)
      third.chunk('abc')
      await downloading.read()
      downloading.abort()
      await backend.until(() => third.aborted)
      await settled(3)
      expect(context.records.map(({ status, aborted }) => [status, aborted])).toEqual([
        [0, true],
        [0, true],
        [200, true],
      ])
    })

    it('lets the client tell that an answer is not whole', async () => {
      for (const length of [100, null]) {
        const call = carrier.call({})
        const script = await backend.next()
        script.head(200, [], length)
        script.chunk('abc')
        await call.read()
        script.fail({ answered: true })
        await expect(call.text()).rejects.toThrow()
      }
      await settled(2)
      expect(context.records.map(({ error }) => error)).toEqual(['UpstreamReset', 'UpstreamReset'])
    })

    it('turns a handshake into a tunnel', async () => {
      const call = carrier.call({ target: '/sock?t=a%20b', fields: HANDSHAKE })
      const script = await backend.next()
      expect(script.request).toMatchObject({ websocket: true, target: '/sock?t=a%20b' })
      expect(field(script.request.fields, 'sec-websocket-protocol')).toBe('v1.x, v2.x')
      expect(field(script.request.fields, 'upgrade')).toBeUndefined()
      const tunnel = new UpstreamTunnel()
      script.tunnel(['Sec-WebSocket-Accept', 'x', 'Sec-WebSocket-Protocol', 'v2.x', 'Connection', 'Upgrade'], tunnel)
      const head = await call.head()
      expect(head.status).toBe(101)
      expect(field(head.fields, 'sec-websocket-protocol')).toBe('v2.x')
      expect(field(head.fields, 'upgrade')).toBe('websocket')
      await call.write('ping')
      await tunnel.until(() => tunnel.received === 'ping')
      tunnel.send('pong')
      expect(Buffer.from((await call.read()) ?? []).toString()).toBe('pong')
      call.endTunnel()
      await tunnel.until(() => tunnel.ended)
      tunnel.finish()
      expect(await call.read()).toBeUndefined()
      await settled(1)
      expect(context.records[0]).toMatchObject({ status: 101, requestSize: 4, responseSize: 4 })
    })

    it('passes the answer where the backend does not switch', async () => {
      const call = carrier.call({ fields: HANDSHAKE })
      const script = await backend.next()
      script.answer(403, ['X-Why', 'no'], 'no way')
      expect((await call.head()).status).toBe(403)
      expect(await call.text()).toBe('no way')
      await settled(1)
    })

    it('says goodbye in a tunnel whose lease ends', async () => {
      const call = carrier.call({ fields: HANDSHAKE })
      const script = await backend.next()
      const tunnel = new UpstreamTunnel()
      script.tunnel(['Sec-WebSocket-Accept', 'x'], tunnel)
      await call.head()
      tunnel.send('\x81\x02hi')
      expect(context.leases.end('acme', () => true, 'TenantSuspended')).toBe(1)
      let bytes = Buffer.alloc(0)
      while (bytes.length < 8) bytes = Buffer.concat([bytes, (await call.read()) ?? Buffer.alloc(8)])
      expect(bytes.toString('latin1')).toBe('\x81\x02hi\x88\x02\x03\xe9')
      call.endTunnel()
      await settled(1)
      expect(tunnel.destroyed).toBe(true)
      expect(context.records[0]?.error).toBe('TenantSuspended')
    })

    it('runs hooks in order and the end once', async () => {
      const seen: string[] = []
      const filter =
        (name: string): Filters[string] =>
        () => ({
          onRequest: (exchange) => {
            seen.push(`${name} request`)
            exchange.request.set(`x-${name}`, exchange.route.route)
            return name === 'b' ? Promise.resolve(undefined) : undefined
          },
          onAuthenticated: () => void seen.push(`${name} authenticated`),
          onRequestChunk: (_exchange, chunk) => {
            seen.push(`${name} chunk`)
            return Buffer.from(`${name}${Buffer.from(chunk).toString()}`)
          },
          onResponse: (_exchange, response, origin) => {
            seen.push(`${name} response ${origin}`)
            response.add('x-seen', name)
            response.remove('x-secret' as never)
          },
          onResponseChunk: (_exchange, chunk) => Buffer.from(`${Buffer.from(chunk).toString()}${name}`),
          onEnd: (_exchange, outcome) => void seen.push(`${name} end ${outcome.status}`),
        })
      await start({
        plan: {
          filters: [
            { policy: 'a', config: null, origins: [] },
            { policy: 'b', config: null, origins: [] },
          ],
        },
        filters: { a: filter('a'), b: filter('b') },
      })
      const call = carrier.call({ method: 'POST', bodyLength: null })
      await call.write('x')
      call.end()
      const script = await backend.next()
      await backend.until(() => script.bodyEnded)
      expect(script.body).toBe('bax')
      expect(field(script.request.fields, 'x-a')).toBe('web')
      script.answer(200, ['X-Secret', '1', 'Content-Length', '1'], 'y')
      const head = await call.head()
      expect(allOf(head.fields, 'x-seen')).toEqual(['a', 'b'])
      expect(field(head.fields, 'x-secret')).toBeUndefined()
      expect(await call.text()).toBe('yab')
      await settled(1)
      await waitFor(() => seen.length === 10)
      expect(seen).toEqual([
        'a request',
        'b request',
        'a authenticated',
        'b authenticated',
        'a chunk',
        'b chunk',
        'a response backend',
        'b response backend',
        'a end 200',
        'b end 200',
      ])
    })

    it('drops what ends at this hop, both ways', async () => {
      const call = carrier.call({
        fields: [
          ...['Connection', 'x-secret, X-Forwarded-For, Host', 'X-Secret', '1', 'Keep-Alive', '5', 'TE', 'gzip'],
          ...['Proxy-Connection', 'x', 'X-Forwarded-For', '9.9.9.9', 'X-Atrium-Tenant', 'other', 'Forwarded', 'for=1'],
        ],
      })
      const script = await backend.next()
      const { fields } = script.request
      for (const name of ['x-secret', 'keep-alive', 'te', 'proxy-connection', 'x-atrium-tenant', 'connection']) {
        expect([name, field(fields, name)]).toEqual([name, undefined])
      }
      expect(field(fields, 'host')).toBe('app.test')
      expect(allOf(fields, 'x-forwarded-for')).toEqual([context.records[0]?.peerAddress ?? expect.any(String)])
      expect(field(fields, 'x-forwarded-for')).not.toContain('9.9.9.9')
      expect(allOf(fields, 'forwarded').join()).not.toContain('for=1;')
      script.answer(200, ['Connection', 'X-Int', 'X-Int', '1', 'Keep-Alive', 'timeout=1', 'X-Atrium-Error', 'NoHost'])
      const head = await call.head()
      for (const name of ['x-int', 'x-atrium-error']) expect(field(head.fields, name)).toBeUndefined()
      await settled(1)
    })

    it('answers by itself in one form', async () => {
      const unknown = carrier.call({ host: 'other.test' })
      const head = await unknown.head()
      expect([head.status, field(head.fields, 'x-atrium-error')]).toEqual([404, 'NoHost'])
      expect(field(head.fields, 'content-type')).toBe('application/problem+json')
      const body = JSON.parse(await unknown.text())
      expect(body).toMatchObject({ status: 404, request_id: field(head.fields, 'x-request-id') })
      const bare = carrier.call({ method: 'HEAD', host: 'other.test' })
      expect((await bare.head()).status).toBe(404)
      expect(await bare.text()).toBe('')
      const wrong = carrier.call({ target: '/%zz' })
      expect((await wrong.head()).status).toBe(400)
      await waitFor(() => context.records.length >= 2)
      expect(context.leases.size).toBe(0)
    })

    it('never sends more of a body than is allowed', async () => {
      await start({ limits: { bodySize: 100 } })
      const declared = carrier.call({ method: 'POST', bodyLength: 101 })
      expect((await declared.head()).status).toBe(413)
      const streamed = carrier.call({ method: 'POST', bodyLength: null })
      await streamed.write(Buffer.alloc(60))
      const script = await backend.next()
      await backend.until(() => script.body.length === 60)
      void streamed.write(Buffer.alloc(60))
      expect((await streamed.head()).status).toBe(413)
      expect([script.body.length, script.aborted]).toEqual([60, true])
      await settled(2)
      expect(context.records.map(({ error }) => error)).toEqual(['BodyTooLarge', 'BodyTooLarge'])
      declared.abort()
      streamed.abort()
    })

    it('fences a throw', async () => {
      await start({
        plan: { filters: [{ policy: 'bad', config: null, origins: [] }] },
        filters: {
          bad: () => ({
            onRequest: (exchange) => {
              if (exchange.request.path === '/now') throw new Error('broken')
              return exchange.request.path === '/later' ? Promise.reject(new Error('broken')) : undefined
            },
            onResponse: (exchange) => {
              if (exchange.request.path === '/answer') throw new Error('broken')
            },
          }),
        },
      })
      for (const target of ['/now', '/later', '/answer']) {
        const call = carrier.call({ target })
        if (target === '/answer') (await backend.next()).answer(200)
        expect((await call.head()).status).toBe(500)
      }
      const fine = carrier.call({ target: '/fine' })
      ;(await backend.next()).answer(200)
      expect((await fine.head()).status).toBe(200)
      await waitFor(() => context.records.length === 4)
      expect(context.faults.length).toBe(3)
      expect(context.leases.size).toBe(0)
      expect(context.state.tenant('acme').concurrency.value()).toBe(0)
    })
  })
}

const POOL = { tenant: 'acme', namespace: 'acme-prod', service: 'web', port: 80, tls: '' } as const

async function waitFor(holds: () => boolean): Promise<void> {
  for (let turn = 0; turn < 2_000 && !holds(); turn += 1) await pause(2)
  expect(holds()).toBe(true)
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, milliseconds)
  })
}

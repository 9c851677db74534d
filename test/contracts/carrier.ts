// What every codec must do for an exchange, in two parts. Three run it: Fastify over sockets, the raw HTTP/1.1 stub over
// sockets, and the carrier in memory. The backend is scripted, so each step is seen from both ends. This part: bytes.
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { allOf, field } from '../support/client-call.ts'
import { UpstreamTunnel } from '../support/memory-upstream.ts'
import type { OneRoute } from '../support/one-route.ts'
import { CarrierBench, type CarrierHarness, type OpenCarrier, pause, waitFor } from './carrier-bench.ts'
import { carrierPolicySuite } from './carrier-policies.ts'

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

/** Runs both parts of the suite. */
export function carrierSuite(name: string, open: OpenCarrier): void {
  carrierPolicySuite(name, open)
  describe(`carrier: ${name}`, () => {
    let bench: CarrierBench
    let backend: CarrierBench['backend']
    let context: CarrierBench['context']
    let carrier: CarrierHarness
    const running: CarrierBench[] = []

    async function start(options: OneRoute = {}): Promise<void> {
      bench = await CarrierBench.start(open, options)
      running.push(bench)
      backend = bench.backend
      context = bench.context
      carrier = bench.carrier
    }
    const settled = (count: number) => bench.settled(count)

    beforeEach(() => start())
    afterEach(async () => {
      for (const started of running.splice(0)) await started.close()
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
  })
}

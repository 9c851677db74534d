// The second part of the carrier suite: what policies and the gateway itself do to a request, the same on every codec.
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Filters } from '../../dataplane/build/chain.ts'
import { headerId } from '../../model/filter.ts'
import { allOf, field } from '../support/client-call.ts'
import type { OneRoute } from '../support/one-route.ts'
import { CarrierBench, type CarrierHarness, type OpenCarrier, waitFor } from './carrier-bench.ts'

/** Run by carrier.ts. */
export function carrierPolicySuite(name: string, open: OpenCarrier): void {
  describe(`carrier: ${name}, policies`, () => {
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
            response.remove(headerId('x-secret'))
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

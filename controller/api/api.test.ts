// The API over real TLS, with Kubernetes' reviews made up and a dataplane pod that is a listener of ours.
import { request } from 'node:https'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import fc from 'fast-check'
import { API_NAME, type ControllerApi, openControllerApi, POD_METRICS } from '../../test/support/controller-api.ts'
import type { StatusAnswer } from './answers.ts'
import { mergeExpositions } from './merge-metrics.ts'

describe('the API', () => {
  let api: ControllerApi

  beforeAll(async () => {
    api = await openControllerApi()
  })
  afterAll(() => api.close())
  beforeEach(() => {
    api.setDown(false)
    api.reviews.token = 0
    api.reviews.access = 0
    api.asked.length = 0
  })

  interface Answer {
    readonly status: number
    readonly headers: Readonly<Record<string, unknown>>
    readonly text: string
    readonly json: () => Record<string, unknown>
  }
  function call(
    user: string | undefined,
    path: string,
    more: { method?: string; body?: unknown; headers?: Record<string, string> } = {},
  ): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const text = more.body === undefined ? undefined : JSON.stringify(more.body)
      const sent = request(
        {
          host: '127.0.0.1',
          port: api.port,
          servername: API_NAME,
          ca: api.authorities,
          method: more.method ?? (text === undefined ? 'GET' : 'POST'),
          path,
          agent: false,
          headers: {
            host: API_NAME,
            ...(user === undefined ? {} : { authorization: `Bearer ${user}` }),
            ...(text === undefined ? {} : { 'content-type': 'application/json' }),
            ...more.headers,
          },
        },
        (response) => {
          const parts: Buffer[] = []
          response.on('data', (part: Buffer) => parts.push(part))
          response.on('end', () => {
            const answer = Buffer.concat(parts).toString('utf8')
            resolve({
              status: response.statusCode ?? 0,
              headers: response.headers,
              text: answer,
              json: () => JSON.parse(answer),
            })
          })
        },
      )
      sent.on('error', reject)
      sent.end(text)
    })
  }
  const statusOf = async (user: string | undefined, path: string, more = {}) => (await call(user, path, more)).status

  test('nobody gets in without a token for it, one for another audience included', async () => {
    expect(await statusOf(undefined, '/api/v1/status')).toBe(401)
    expect(await statusOf('root.apiserver', '/api/v1/status')).toBe(401)
    expect(await statusOf('nobody.console', '/api/v1/status')).toBe(403)
    for (const path of [
      '/api/v1/top',
      '/api/v1/snapshot',
      '/api/v1/pods',
      '/api/v1/pods/plane-1/status',
      '/api/v1/tenants/acme/metrics',
    ]) {
      expect([path, await statusOf(undefined, path)]).toEqual([path, 401])
      expect([path, await statusOf('nobody.console', path)]).toEqual([path, 403])
    }
    expect(api.asked).toEqual([])
  })

  test('the platform sees all tenants and pods, a pod that does not answer by name', async () => {
    const answer: StatusAnswer = JSON.parse((await call('root.console', '/api/v1/status')).text)
    expect(answer).toMatchObject({ leader: 'ctl-1', replica: 'ctl-0', snapshot: { version: 'v1' } })
    expect(answer.pods.map(({ name, state }) => [name, state])).toEqual([
      ['plane-1', 'current'],
      ['plane-2', 'unreachable'],
    ])
    const top = (await call('root.console', '/api/v1/top')).json()
    expect(top).toMatchObject({ pods: { answered: 1, all: 2 }, tenants: [{ tenant: 'acme' }, { tenant: 'globex' }] })
  })

  test('a member sees their tenant, by a right in its namespace or on its name, and no other', async () => {
    expect((await call('ann.console', '/api/v1/top?tenant=acme')).json()).toMatchObject({
      tenants: [{ tenant: 'acme' }],
    })
    expect((await call('bob.console', '/api/v1/top?tenant=globex')).json()).toMatchObject({
      tenants: [{ tenant: 'globex' }],
    })
    expect(await statusOf('ann.console', '/api/v1/top')).toBe(403)
    const foreign = await call('ann.console', '/api/v1/top?tenant=globex')
    const absent = await call('ann.console', '/api/v1/top?tenant=nothing')
    expect([foreign.status, foreign.text]).toEqual([absent.status, absent.text])
    const own = await call('ann.console', '/api/v1/snapshot?tenant=acme')
    expect(own.text).toContain('shop.acme.test')
    expect(own.text).not.toContain('globex')
    expect(JSON.stringify((await call('ann.console', '/api/v1/status?tenant=acme')).json())).not.toContain('plane-1')
  })

  test('explain answers about own hosts, and alike about others and nobody', async () => {
    const ask = (user: string, body: unknown) => call(user, '/api/v1/explain', { body })
    expect((await ask('ann.console', { url: 'https://shop.acme.test/x' })).json()).toMatchObject({ tenant: 'acme' })
    const foreign = await ask('ann.console', { url: 'https://globex.test/' })
    const absent = await ask('ann.console', { url: 'https://nobody.test/' })
    expect([foreign.status, foreign.text]).toEqual([404, absent.text])
    for (const trick of [{ sni: 'globex.test' }, { headers: [['Host', 'globex.test']] }]) {
      expect((await ask('ann.console', { url: 'https://shop.acme.test/', ...trick })).status).toBe(404)
    }
    expect((await ask('root.console', { url: 'https://globex.test/' })).status).toBe(200)
    expect((await ask('ann.console', { url: 'ftp://shop.acme.test/' })).status).toBe(400)
  })

  test('a pod is read through the proxy, without the caller’s token, without its headers, once', async () => {
    const metrics = await call('root.console', '/api/v1/pods/plane-1/metrics')
    expect([metrics.status, metrics.text]).toEqual([200, POD_METRICS])
    expect(metrics.headers).not.toHaveProperty('set-cookie')
    expect(await statusOf('root.console', '/api/v1/pods/plane-1/snapshot')).toBe(503)
    expect(api.asked).toEqual(['GET /metrics ', 'GET /snapshot '])
    const gone = await call('root.console', '/api/v1/pods/plane-2/status')
    expect([gone.status, gone.text]).toEqual([502, '{"error":"Unreachable","message":"the pod did not answer"}'])
    for (const path of [
      'plane-3/status',
      'plane-1/push',
      'plane-1/..%2fpush',
      '..%2fplane-1/status',
      'plane-1/status/x',
    ]) {
      expect([path, await statusOf('root.console', `/api/v1/pods/${path}`)]).toEqual([path, 404])
    }
    expect(await statusOf('root.console', '/api/v1/pods/plane-1/status', { method: 'POST' })).toBe(404)
  })

  test('pages of other sites, other names and other types get nothing', async () => {
    expect(await statusOf('root.console', '/api/v1/status', { headers: { host: 'evil.test' } })).toBe(403)
    expect(await statusOf('root.console', '/api/v1/status', { headers: { origin: 'https://evil.test' } })).toBe(403)
    expect(await statusOf('root.console', '/api/v1/status', { headers: { 'sec-fetch-site': 'cross-site' } })).toBe(403)
    expect(
      await statusOf('root.console', '/api/v1/explain', { body: {}, headers: { 'content-type': 'text/plain' } }),
    ).toBe(415)
    const answer = await call('root.console', '/api/v1/status', {
      method: 'OPTIONS',
      headers: { origin: `https://${API_NAME}` },
    })
    expect(Object.keys(answer.headers).filter((name) => name.startsWith('access-control'))).toEqual([])
    expect(await statusOf('root.console', '/nothing')).toBe(404)
  })

  test('a token is reviewed once in a while, and rights too', async () => {
    await call('eve.console', '/api/v1/status')
    const before = { ...api.reviews }
    await call('eve.console', '/api/v1/status')
    expect(before.token).toBe(1)
    expect(api.reviews).toEqual(before)
  })

  test('when nobody can be asked, nothing is shown', async () => {
    api.setDown(true)
    expect(await statusOf('fay.console', '/api/v1/status')).toBe(503)
  })

  test('whoever guesses tokens has to wait', async () => {
    const answers: number[] = []
    for (let guess = 0; guess < 25; guess++) answers.push(await statusOf(`guess${guess}.no`, '/api/v1/status'))
    expect(answers[0]).toBe(401)
    expect(answers.at(-1)).toBe(429)
    // Who is known already is not kept out.
    expect(await statusOf('root.console', '/api/v1/status')).toBe(200)
  })
})

describe('metrics of several pods', () => {
  test('add up, series by series', () => {
    const one =
      '# HELP a_total x\n# TYPE a_total counter\na_total{tenant="t",c="2xx"} 3\n# TYPE r_ratio gauge\nr_ratio{tenant="t"} 0.5\n'
    const two =
      '# HELP a_total x\n# TYPE a_total counter\na_total{tenant="t",c="2xx"} 4\na_total{tenant="t",c="5xx"} 1\n# TYPE r_ratio gauge\nr_ratio{tenant="t"} 0.2\n'
    expect(mergeExpositions([one, two])).toBe(
      '# HELP a_total x\n# TYPE a_total counter\na_total{tenant="t",c="2xx"} 7\na_total{tenant="t",c="5xx"} 1\n' +
        '# TYPE r_ratio gauge\nr_ratio{tenant="t"} 0.5\n',
    )
  })

  test('take any text', () => {
    fc.assert(fc.property(fc.array(fc.string(), { maxLength: 5 }), (texts) => void mergeExpositions(texts)))
  })
})

import { afterEach, describe, expect, it, vi } from 'vitest'
import { memoryConnection, MemoryCall, serve } from '../../test/support/memory-carrier.ts'
import { field } from '../../test/support/client-call.ts'
import { MemoryUpstream, UpstreamTunnel } from '../../test/support/memory-upstream.ts'
import { oneRoute, type OneRoute, type OneRouteContext } from '../../test/support/one-route.ts'
import { createHandler } from './exchange.ts'

const PLAIN = { request: null, backendRequest: 10_000, connect: 1_000, idle: 60_000 }
const TLS = { certificates: ['c'], minVersion: '1.2', plainHTTP: 'Redirect', clientValidation: null } as const
const contexts: OneRouteContext[] = []

function setUp(options: OneRoute = {}, endpoints = 1) {
  const backends = Array.from({ length: endpoints }, () => new MemoryUpstream())
  const context = oneRoute(backends, options)
  contexts.push(context)
  const [first = new MemoryUpstream(), second = new MemoryUpstream()] = backends
  return { context, handler: createHandler(context), first, second }
}

afterEach(() => {
  for (const context of contexts.splice(0)) {
    const tenant = context.state.tenant('acme')
    expect(context.faults).toEqual([])
    expect(context.leases.size).toBe(0)
    expect(tenant.concurrency.value()).toBe(0)
    expect(tenant.connections.value()).toBe(0)
    expect(context.state.read('acme').active).toBe(0)
    context.close()
  }
})

describe('retry', () => {
  it('takes a request whose connection failed elsewhere, with all of its body', async () => {
    const { handler, first, second, context } = setUp({}, 2)
    first.onAttempt = (script) => script.fail({ code: 'UpstreamConnectFailed', nothingSent: true })
    second.onAttempt = async (script) => {
      await second.until(() => script.bodyEnded)
      script.answer(200, [], script.body)
    }
    const answer = await serve(handler, { method: 'POST', url: 'http://app.test/', body: 'pay once' })
    expect(answer).toMatchObject({ status: 200, body: 'pay once' })
    expect(context.records[0]).toMatchObject({ resends: 1, endpoint: '10.0.0.2:8080', error: null })
    expect(context.reports).toEqual([
      { label: '10.0.0.1:8080', failed: true },
      { label: '10.0.0.2:8080', failed: false },
    ])
    expect(context.state.read('acme').retries).toEqual({ success: 1, failure: 0 })
  })

  it('never sends an unsafe request twice', async () => {
    const { handler, first, second } = setUp({}, 2)
    first.onAttempt = (script) => script.fail()
    const answer = await serve(handler, { method: 'POST', url: 'http://app.test/', body: 'pay once' })
    expect([answer.status, answer.headers['x-atrium-error']]).toEqual([502, 'UpstreamReset'])
    expect([first.scripts.length, second.scripts.length]).toEqual([1, 0])
  })

  it('never sends one without a body twice either', async () => {
    for (const method of ['POST', 'PUT', 'DELETE', 'PATCH', 'PROPFIND']) {
      const { handler, first, second } = setUp({}, 2)
      first.onAttempt = (script) => script.fail()
      expect((await serve(handler, { method, url: 'http://app.test/' })).status).toBe(502)
      expect([method, first.scripts.length, second.scripts.length]).toEqual([method, 1, 0])
    }
  })

  it('repeats a safe request once after a lost connection, on the only endpoint too', async () => {
    const { handler, first } = setUp()
    first.onAttempt = (script) => script.fail()
    expect((await serve(handler, { url: 'http://app.test/' })).status).toBe(502)
    expect(first.scripts.length).toBe(2)
  })

  it('repeats nothing after a byte of an answer, a timeout or a broken answer', async () => {
    const { handler, first } = setUp({}, 2)
    for (const failure of [
      { answered: true },
      { code: 'UpstreamTimeout' },
      { code: 'UpstreamProtocolError', answered: true },
    ] as const) {
      first.onAttempt = (script) => script.fail(failure)
      const before = first.scripts.length
      await serve(handler, { url: 'http://app.test/' })
      expect(first.scripts.length).toBe(before + 1)
    }
  })

  it('goes to another endpoint at once, and waits only before it asks the same one again', async () => {
    const plan = { retry: { attempts: 2, onConnectFailure: true, backoff: 3_600_000 } }
    const two = setUp({ plan }, 2)
    two.first.onAttempt = (script) => script.fail({ code: 'UpstreamConnectFailed', nothingSent: true })
    two.second.onAttempt = (script) => script.answer(200)
    expect((await serve(two.handler, { url: 'http://app.test/' })).status).toBe(200)
    // Nobody else is there, and who refuses connections is not asked again: no wait for nothing.
    const one = setUp({ plan })
    one.first.onAttempt = (script) => script.fail({ code: 'UpstreamConnectFailed', nothingSent: true })
    expect((await serve(one.handler, { url: 'http://app.test/' })).status).toBe(502)
    vi.useFakeTimers()
    try {
      const lost = setUp({ plan })
      lost.first.onAttempt = (script) =>
        lost.first.scripts.length === 1 ? script.fail() : script.answer(200, [], 'again')
      const answer = serve(lost.handler, { url: 'http://app.test/' })
      await vi.advanceTimersByTimeAsync(3_500_000)
      expect(lost.first.scripts.length).toBe(1)
      await vi.advanceTimersByTimeAsync(200_000)
      expect((await answer).body).toBe('again')
    } finally {
      vi.useRealTimers()
    }
  })

  it('does not hold the race of a kept connection against an endpoint, and asks again at once', async () => {
    const plan = { retry: { attempts: 2, onConnectFailure: true, backoff: 3_600_000 } }
    const { handler, first, context } = setUp({ plan })
    first.onAttempt = (script) =>
      first.scripts.length === 1 ? script.fail({ reused: true }) : script.answer(200, [], 'again')
    expect((await serve(handler, { url: 'http://app.test/' })).body).toBe('again')
    expect(context.reports).toEqual([{ label: '10.0.0.1:8080', failed: false }])
    // An answer that had begun, and one that never came, are the endpoint's doing on any connection.
    for (const failure of [{ answered: true }, { code: 'UpstreamTimeout' }] as const) {
      first.onAttempt = (script) => script.fail({ reused: true, ...failure })
      await serve(handler, { url: 'http://app.test/' })
    }
    expect(context.reports.slice(1).map(({ failed }) => failed)).toEqual([true, true])
  })

  it('gives up after the attempts of the rule and says why', async () => {
    const { handler, first, second } = setUp(
      { plan: { retry: { attempts: 1, onConnectFailure: true, backoff: 1 } } },
      3,
    )
    for (const backend of [first, second]) {
      backend.onAttempt = (script) => script.fail({ code: 'UpstreamConnectFailed', nothingSent: true })
    }
    expect((await serve(handler, { url: 'http://app.test/' })).headers['x-atrium-error']).toBe('UpstreamConnectFailed')
    expect([first.scripts.length, second.scripts.length]).toEqual([1, 1])
  })

  it('holds a large body back until a connection stands, and loses none of it', async () => {
    const { handler, first, second } = setUp({}, 2)
    first.onAttempt = (script) => {
      script.room = false
    }
    const call = new MemoryCall(handler, { method: 'POST', bodyLength: 300_000 })
    const upload = (async () => {
      for (let at = 0; at < 10; at += 1) await call.write(Buffer.alloc(30_000, String(at)))
      call.end()
    })()
    const failing = await first.next()
    await pause(5)
    expect(failing.body.length).toBeLessThanOrEqual(90_000)
    failing.fail({ code: 'UpstreamConnectFailed', nothingSent: true })
    const script = await second.next()
    await second.until(() => script.bodyEnded)
    await upload
    const whole = Array.from({ length: 10 }, (_, at) => String(at).repeat(30_000)).join('')
    expect(script.body === whole).toBe(true)
    script.answer(200)
    expect((await call.head()).status).toBe(200)
    await pause(1)
  })
})

describe('limits', () => {
  it('refuses beyond the rate with a wait', async () => {
    const { handler, first, context } = setUp({ limits: { requests: { count: 2, seconds: 60, burst: 2 } } })
    first.onAttempt = (script) => script.answer(200)
    const answers = []
    for (let at = 0; at < 3; at += 1) answers.push(await serve(handler, { url: 'http://app.test/' }))
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 429])
    const headers = answers[2]?.headers ?? {}
    expect(headers['x-atrium-error']).toBe('RequestRateExceeded')
    expect(Number(headers['retry-after'])).toBeGreaterThanOrEqual(1)
    expect(headers['ratelimit-policy']).toBe('"requests";q=2;w=60')
    expect(first.scripts.length).toBe(2)
    expect(context.records[2]).toMatchObject({ decidedBy: 'limits.requests', status: 429 })
  })

  it('refuses beyond the concurrency and gives every place back', async () => {
    const { handler, first } = setUp({ limits: { concurrency: 1 } })
    const held = new MemoryCall(handler, {})
    const script = await first.next()
    const refused = await serve(handler, { url: 'http://app.test/' })
    expect([refused.status, refused.headers['x-atrium-error']]).toEqual([429, 'ConcurrencyExceeded'])
    script.answer(200)
    await held.text()
    await pause(1)
    first.onAttempt = (next) => next.answer(200)
    expect((await serve(handler, { url: 'http://app.test/' })).status).toBe(200)
  })

  it('counts a connection once for its tenant, until it closes', async () => {
    const { handler, first, context } = setUp({ limits: { connections: 1 } })
    first.onAttempt = (script) => script.answer(200)
    const connection = memoryConnection()
    const state = context.state.tenant('acme')
    expect(connection.charge(state, 1)).toBe(true)
    expect(connection.charge(state, 1)).toBe(true)
    const refused = await serve(handler, { url: 'http://app.test/' })
    expect([refused.status, refused.headers['x-atrium-error']]).toEqual([503, 'Overloaded'])
    connection.close()
    expect((await serve(handler, { url: 'http://app.test/' })).status).toBe(200)
  })

  it('answers a suspended tenant before its limits', async () => {
    const { handler } = setUp({ suspended: true, limits: { concurrency: 1 } })
    const answer = await serve(handler, { url: 'http://app.test/' })
    expect([answer.status, answer.headers['x-atrium-error'], answer.headers['retry-after']]).toEqual([
      503,
      'TenantSuspended',
      '60',
    ])
  })
})

describe('the connection', () => {
  it('must belong to the tenant of the host', async () => {
    const { handler, first } = setUp()
    first.onAttempt = (script) => script.answer(200)
    const status = async (tenant: string) =>
      (await serve(handler, { url: 'https://app.test/', tls: { tenant } })).status
    expect([await status('acme'), await status('other'), await status('')]).toEqual([200, 421, 421])
  })

  it('must be of a version that the host accepts, whatever the name of the handshake', async () => {
    const { handler, first } = setUp({ tls: { ...TLS, minVersion: '1.3' } })
    first.onAttempt = (script) => script.answer(200)
    const status = async (version: string) =>
      (await serve(handler, { url: 'https://app.test/', tls: { tenant: 'acme', version } })).status
    expect([await status('TLSv1.3'), await status('TLSv1.2'), await status('')]).toEqual([200, 421, 421])
  })

  it('must be verified where the host demands a client certificate', async () => {
    for (const [mode, verified, expected] of [
      ['Require', 'ca1,ca2', 200],
      ['Require', '', 421],
      ['Require', 'ca1', 421],
      ['Optional', '', 200],
      ['Optional', 'other', 421],
    ] as const) {
      const clientValidation = { authorities: ['ca1', 'ca2'], mode, closed: false }
      const { handler, first } = setUp({ tls: { ...TLS, clientValidation } })
      first.onAttempt = (script) => script.answer(200)
      const tls = { tenant: 'acme', verifiedAgainst: verified }
      expect([mode, verified, (await serve(handler, { url: 'https://app.test/', tls })).status]).toEqual([
        mode,
        verified,
        expected,
      ])
      // No hop's word stands in for a certificate.
      const plain = await serve(handler, {
        url: 'http://app.test/',
        client: '10.0.0.9',
        trusted: ['10.0.0.9/32'],
        headers: { 'x-forwarded-proto': 'https' },
      })
      expect(plain.status).toBe(mode === 'Require' ? 421 : 200)
    }
  })

  it('follows plainHTTP', async () => {
    for (const [plainHTTP, expected] of [
      ['Redirect', 308],
      ['Serve', 200],
      ['Refuse', 421],
    ] as const) {
      const { handler, first } = setUp({ tls: { ...TLS, plainHTTP } })
      first.onAttempt = (script) => script.answer(200)
      const answer = await serve(handler, { url: 'http://app.test:8080/a?b=1' })
      expect([plainHTTP, answer.status]).toEqual([plainHTTP, expected])
      if (expected === 308) expect(answer.headers['location']).toBe('https://app.test/a?b=1')
    }
  })
})

describe('time', () => {
  it('ends a request at its deadline, also while it streams', async () => {
    const { handler, first, context } = setUp({ plan: { timeouts: { ...PLAIN, request: 20 } } })
    const waiting = await serve(handler, { url: 'http://app.test/' })
    expect([waiting.status, waiting.headers['x-atrium-error']]).toEqual([504, 'RequestDeadlineExceeded'])
    expect(first.scripts[0]?.aborted).toBe(true)
    first.onAttempt = (script) => script.head(200, [], null)
    expect((await serve(handler, { url: 'http://app.test/' })).cut).toBe(true)
    expect(context.records.map(({ error }) => error)).toEqual(['RequestDeadlineExceeded', 'RequestDeadlineExceeded'])
  })

  it('stops the clock of the request at 101, and closes an idle tunnel', async () => {
    const { handler, first } = setUp({ plan: { timeouts: { ...PLAIN, request: 20, idle: 80 } } })
    const call = new MemoryCall(handler, {
      fields: [
        ...['Connection', 'Upgrade', 'Upgrade', 'websocket', 'Sec-WebSocket-Version', '13'],
        ...['Sec-WebSocket-Key', 'dGhlIHNhbXBsZSBub25jZQ=='],
      ],
    })
    const tunnel = new UpstreamTunnel()
    ;(await first.next()).tunnel([], tunnel)
    await pause(50)
    tunnel.send('still here')
    expect(Buffer.from((await call.read()) ?? []).toString()).toBe('still here')
    await tunnel.until(() => tunnel.destroyed)
    call.abort()
    await pause(5)
  })

  it('ends what a tenant may no longer have, and lets the young finish first', async () => {
    vi.useFakeTimers()
    try {
      let now = 1_000
      const { handler, first, context } = setUp({ clock: () => now })
      const old = new MemoryCall(handler, {})
      const streaming = await first.next()
      streaming.head(200, [], null)
      now += 10_001
      vi.advanceTimersByTime(1_000)
      const young = new MemoryCall(handler, {})
      const waiting = await first.next()
      expect([context.leases.size, context.leases.long]).toEqual([2, 1])
      expect(context.leases.end('acme', (lease) => lease.route.route === 'other', 'TenantSuspended')).toBe(0)
      expect(context.leases.end('acme', () => true, 'TenantSuspended')).toBe(1)
      await expect(old.text()).rejects.toThrow()
      expect([streaming.aborted, waiting.aborted]).toEqual([true, false])
      vi.advanceTimersByTime(20_000)
      expect((await young.head()).status).toBe(503)
      expect(waiting.aborted).toBe(true)
      await vi.advanceTimersByTimeAsync(1)
    } finally {
      vi.useRealTimers()
    }
  })
})

describe('what the backend hears', () => {
  it('of the client, through trusted hops only', async () => {
    const { handler, first, context } = setUp()
    first.onAttempt = (script) => script.answer(200)
    const headers = {
      'X-Forwarded-For': '6.6.6.6, 203.0.113.7, 10.0.0.8',
      'X-Forwarded-Proto': 'https',
      'X-Forwarded-Host': 'shown.test',
      'X-Request-ID': 'from-the-hop',
    }
    await serve(handler, { url: 'http://app.test/', headers, client: '10.0.0.9', trusted: ['10.0.0.0/24'] })
    await serve(handler, { url: 'http://app.test/', headers, client: '10.0.1.9', trusted: ['10.0.0.0/24'] })
    const [trusted, untrusted] = first.scripts.map(({ request }) => request.fields)
    const of = (fields: readonly string[] | undefined, name: string) => field(fields ?? [], name)
    expect(of(trusted, 'x-forwarded-for')).toBe('6.6.6.6, 203.0.113.7, 10.0.0.8, 10.0.0.9')
    expect(of(trusted, 'x-real-ip')).toBe('203.0.113.7')
    expect(of(trusted, 'x-forwarded-proto')).toBe('https')
    expect(of(trusted, 'x-forwarded-host')).toBe('shown.test')
    expect(of(trusted, 'x-request-id')).toBe('from-the-hop')
    expect(of(untrusted, 'x-forwarded-for')).toBe('10.0.1.9')
    expect(of(untrusted, 'x-forwarded-proto')).toBe('http')
    expect(of(untrusted, 'x-request-id')).not.toBe('from-the-hop')
    expect(context.records.map(({ clientAddress }) => clientAddress)).toEqual(['203.0.113.7', '10.0.1.9'])
  })

  it('of the rule: rewritten host, changed headers', async () => {
    const { handler, first } = setUp({
      plan: {
        rewrite: { hostname: 'inner.test', path: null },
        requestHeaders: { set: [{ name: 'X-Tenant', value: 'acme' }], add: [], remove: ['x-drop'] },
        responseHeaders: { set: [], add: [{ name: 'X-Added', value: '1' }], remove: ['server'] },
      },
    })
    first.onAttempt = (script) => script.answer(200, ['Server', 'x'])
    const answer = await serve(handler, { url: 'http://App.Test.:81/', headers: { 'x-drop': '1', 'x-tenant': 'evil' } })
    const fields = first.scripts[0]?.request.fields ?? []
    expect(field(fields, 'host')).toBe('inner.test')
    expect(field(fields, 'x-forwarded-host')).toBe('app.test:81')
    expect(field(fields, 'x-tenant')).toBe('acme')
    expect(field(fields, 'x-drop')).toBeUndefined()
    expect([answer.headers['x-added'], answer.headers['server']]).toEqual(['1', undefined])
  })
})

describe('nowhere to go', () => {
  it('answers 503 for a share without a pool, and for a rule that may not serve', async () => {
    const service = { namespace: 'a', name: 'b', port: '80' }
    for (const action of [
      { type: 'forward', backends: [{ weight: 1, pool: null, service }] },
      { type: 'forward', backends: [] },
      { type: 'unavailable', error: 'PolicyNotReady' },
    ] as const) {
      const { handler } = setUp({ plan: { action } })
      expect((await serve(handler, { url: 'http://app.test/' })).status).toBe(503)
    }
  })

  it('redirects', async () => {
    const redirect = { scheme: null, hostname: 'new.test', path: null, port: null, statusCode: 301 }
    const { handler } = setUp({ plan: { action: { type: 'redirect', redirect } } })
    const answer = await serve(handler, { url: 'http://app.test:8080/a?b' })
    expect([answer.status, answer.headers['location']]).toEqual([301, 'http://new.test:8080/a?b'])
  })
})

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, milliseconds)
  })
}

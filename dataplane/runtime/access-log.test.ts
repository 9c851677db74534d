import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type AccessRecord, createAccessLog } from './access-log.ts'
import { hideSecrets, HIDDEN_VALUE } from './access-log-query.ts'

const RECORD: AccessRecord = {
  time: Date.UTC(2026, 10, 25, 12, 0, 0, 7),
  requestId: 'abc1',
  tenant: 'acme',
  route: { tenant: 'acme', namespace: 'web', route: 'shop', rule: 2, ruleName: '' },
  method: 'GET',
  scheme: 'https',
  host: 'shop.acme.test',
  path: '/a',
  query: 'page=2&access_token=s3cret',
  status: 502,
  clientAddress: '203.0.113.9',
  peerAddress: '10.0.0.1',
  requestSize: 3,
  responseSize: 140,
  durationMs: 12.34567,
  upstreamMs: 10,
  backend: { namespace: 'web', name: 'shop', port: '80' },
  endpoint: '10.1.2.3:8080',
  resends: 1,
  error: 'UpstreamReset',
  decidedBy: '',
  aborted: false,
  tls: { serverName: 'shop.acme.test', tenant: 'acme', version: 'TLSv1.3', cipher: 'X', verifiedAgainst: '' },
}

function logTo(lines: string[]) {
  return createAccessLog({
    send: (batch) => {
      // Only whole lines leave.
      const text = Buffer.from(batch).toString('utf8')
      expect(text.endsWith('\n')).toBe(true)
      lines.push(...text.slice(0, -1).split('\n'))
      return true
    },
    dropped: () => {},
  })
}

async function lineOf(record: AccessRecord): Promise<Record<string, unknown>> {
  const lines: string[] = []
  const log = logTo(lines)
  log.write(record)
  await log.flush()
  expect(lines).toHaveLength(1)
  return JSON.parse(lines[0] ?? '')
}

describe('access log', () => {
  it('names everything as OpenTelemetry does', async () => {
    expect(await lineOf(RECORD)).toEqual({
      'event.name': 'http.access',
      time: '2026-11-25T12:00:00.007Z',
      request_id: 'abc1',
      'atrium.tenant': 'acme',
      'atrium.route_namespace': 'web',
      'atrium.route': 'shop',
      'atrium.rule': '2',
      'http.request.method': 'GET',
      'http.response.status_code': 502,
      'url.scheme': 'https',
      'server.address': 'shop.acme.test',
      'url.path': '/a',
      'url.query': `page=2&access_token=${HIDDEN_VALUE}`,
      'client.address': '203.0.113.9',
      'network.peer.address': '10.0.0.1',
      'http.request.size': 3,
      'http.response.size': 140,
      duration_ms: 12.346,
      'atrium.upstream_ms': 10,
      'atrium.backend': 'web/shop:80',
      'atrium.endpoint': '10.1.2.3:8080',
      'http.request.resend_count': 1,
      'error.type': 'UpstreamReset',
      'atrium.error_source': 'backend',
      'tls.protocol.version': 'TLSv1.3',
      'tls.cipher': 'X',
      'server.name': 'shop.acme.test',
    })
  })

  it('leaves no trace of what is not there', async () => {
    const bare = await lineOf({
      ...RECORD,
      tenant: '',
      route: null,
      query: '',
      status: 0,
      upstreamMs: null,
      backend: null,
      endpoint: '',
      resends: 0,
      error: null,
      aborted: true,
      tls: null,
    })
    expect(Object.values(bare)).not.toContain('')
    expect(Object.values(bare)).not.toContain(null)
    expect(bare).toMatchObject({ 'atrium.aborted': true })
    expect(bare).not.toHaveProperty('http.response.status_code')
  })

  it('is one line of plain JSON, whatever bytes a client sends', async () => {
    const hostile = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 200 }),
      fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes).toString('latin1')),
      fc.constantFrom(
        '\n',
        '\r\n{"atrium.tenant":"other"}',
        '"',
        '\\',
        '\u001b[2J',
        '\u009b31m',
        '\u2028',
        '\ud800',
        '\0',
      ),
    )
    await fc.assert(
      fc.asyncProperty(hostile, hostile, hostile, async (path, host, other) => {
        const record = { ...RECORD, path, host, method: other, requestId: other, clientAddress: other, endpoint: other }
        const lines: string[] = []
        const log = logTo(lines)
        log.write(record)
        await log.flush()
        expect(lines).toHaveLength(1)
        const [line = ''] = lines
        expect(line).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/)
        const read: Record<string, unknown> = JSON.parse(line)
        expect(read['url.path']).toBe(path.toWellFormed() === path ? path : read['url.path'])
        expect(read['atrium.tenant']).toBe('acme')
      }),
      { numRuns: 500 },
    )
  })

  it('hands over in batches, and counts what has no room', async () => {
    let batches = 0
    let dropped = 0
    const log = createAccessLog({
      send: () => ++batches % 2 === 1,
      dropped: (lines) => {
        dropped += lines
      },
    })
    for (let line = 0; line < 1_000; line++) log.write(RECORD)
    await log.flush()
    expect(batches).toBeGreaterThan(5)
    expect(batches).toBeLessThan(100)
    expect(dropped).toBeGreaterThan(0)
    expect(dropped).toBeLessThan(1_000)
  })
})

describe('secrets in a query', () => {
  it('are replaced by name, however the name is written', () => {
    for (const name of [
      'token',
      'access_token',
      'id-token',
      'ACCESS_TOKEN',
      'X-Amz-Signature',
      'X-Amz-Credential',
      'sig',
      'api_key',
      'apiKey',
      'key',
      'password',
      'user[password]',
      'user[pin]',
      'code',
      'client_secret',
      'jwt',
      '%74oken',
      '%2574oken',
      'to%6Ben',
      'SAMLResponse',
    ]) {
      expect(hideSecrets(`a=1&${name}=hunter2&b=2`)).toBe(`a=1&${name}=${HIDDEN_VALUE}&b=2`)
      expect(hideSecrets(`a=1;${name}=hunter2`)).not.toContain('hunter2')
    }
  })

  it('leave everything else as it was', () => {
    for (const query of [
      '',
      'a',
      'a=',
      '=',
      '&&',
      'page=2&sort=keys',
      'q=token',
      'monkey=1',
      'token',
      'token=',
      'a=b=c',
    ]) {
      expect(hideSecrets(query)).toBe(query)
    }
  })
})

import { describe, expect, it } from 'vitest'
import fc from 'fast-check'
import { checkHead, type RawHead } from './request-check.ts'

const head = (changes: Partial<RawHead> = {}, more: readonly string[] = []): RawHead => ({
  method: 'GET',
  target: '/',
  version: '1.1',
  ...changes,
  fields: [...(changes.fields ?? ['Host', 'app.test']), ...more],
})

describe('refuses', () => {
  const cases: [string, RawHead, string][] = [
    ['two Hosts', head({}, ['Host', 'app.test']), 'BadRequest'],
    ['no Host', head({ fields: [] }), 'BadRequest'],
    ['a Host that is none', head({ fields: ['Host', 'a b'] }), 'BadRequest'],
    ['two names in Host', head({ fields: ['Host', 'a.test,b.test'] }), 'BadRequest'],
    ['user information in Host', head({ fields: ['Host', 'x@a.test'] }), 'BadRequest'],
    ['both lengths', head({ method: 'POST' }, ['Content-Length', '1', 'Transfer-Encoding', 'chunked']), 'BadRequest'],
    ['equal lengths twice', head({}, ['Content-Length', '1', 'content-length', '1']), 'BadRequest'],
    ['a list of lengths', head({}, ['Content-Length', '1, 1']), 'BadRequest'],
    ['a signed length', head({}, ['Content-Length', '+1']), 'BadRequest'],
    ['an empty length', head({}, ['Content-Length', '']), 'BadRequest'],
    ['a length beyond doubles', head({}, ['Content-Length', '9007199254740993']), 'BadRequest'],
    ['gzip, chunked', head({}, ['Transfer-Encoding', 'gzip, chunked']), 'BadRequest'],
    ['chunked twice', head({}, ['Transfer-Encoding', 'chunked', 'Transfer-Encoding', 'chunked']), 'BadRequest'],
    ['an empty coding', head({}, ['Transfer-Encoding', '']), 'BadRequest'],
    ['chunks in HTTP/1.0', head({ version: '1.0' }, ['Transfer-Encoding', 'chunked']), 'BadRequest'],
    ['HTTP/0.9', head({ version: '0.9' }), 'BadRequest'],
    ['HTTP/2.0', head({ version: '2.0' }), 'BadRequest'],
    ['an underscore', head({}, ['X_User', '1']), 'BadRequest'],
    ['a blank in a name', head({}, ['X User', '1']), 'BadRequest'],
    ['a line break in a value', head({}, ['X', 'a\r\nb']), 'BadRequest'],
    ['a NUL in a value', head({}, ['X', 'a\0b']), 'BadRequest'],
    ['two Authorizations', head({}, ['Authorization', 'a', 'authorization', 'b']), 'BadRequest'],
    ['CONNECT', head({ method: 'CONNECT', target: 'a:80' }), 'MethodNotAllowed'],
    ['TRACE', head({ method: 'TRACE' }), 'MethodNotAllowed'],
    ['a fragment', head({ target: '/a#b' }), 'BadRequest'],
    ['a bare authority', head({ target: 'a:80' }), 'BadRequest'],
    ['an absolute target of another host', head({ target: 'http://other.test/' }), 'BadRequest'],
    ['an absolute target of another port', head({ target: 'http://app.test:81/' }), 'BadRequest'],
    ['an asterisk', head({ target: '*' }), 'BadRequest'],
    ['a long target', head({ target: `/${'a'.repeat(8_192)}` }), 'UriTooLong'],
    [
      '101 fields',
      head(
        {},
        Array.from({ length: 200 }, (_, at) => `x${at}`),
      ),
      'HeadersTooLarge',
    ],
    ['33 KiB', head({}, ['X', 'a'.repeat(33_000)]), 'HeadersTooLarge'],
    ['another expectation', head({}, ['Expect', 'tea']), 'ExpectationFailed'],
    ['a WebSocket by POST', head({ method: 'POST' }, websocket()), 'BadRequest'],
    ['a WebSocket of version 8', head({}, websocket('8')), 'BadRequest'],
    ['a WebSocket with a short key', head({}, websocket('13', 'abc=')), 'BadRequest'],
    ['a WebSocket with a body', head({}, [...websocket(), 'Content-Length', '1']), 'BadRequest'],
  ]
  it.each(cases)('%s', (_, raw, code) => {
    expect(checkHead(raw)).toBe(code)
  })
})

describe('accepts', () => {
  it('an absolute target that is the Host', () => {
    expect(checkHead(head({ target: 'HTTP://App.test:80?x', fields: ['Host', 'app.TEST.:80'] }))).toMatchObject({
      host: 'app.test',
      port: 80,
      path: '/',
      query: 'x',
    })
  })

  it('chunks in any case of letters, and lengths', () => {
    expect(checkHead(head({}, ['Transfer-Encoding', 'CHUNKED']))).toMatchObject({ bodyLength: null })
    expect(checkHead(head({}, ['Content-Length', '007']))).toMatchObject({ bodyLength: 7 })
  })

  it('a WebSocket handshake, and takes other upgrades for none', () => {
    expect(checkHead(head({}, websocket()))).toMatchObject({ websocket: true })
    expect(checkHead(head({}, ['Connection', 'Upgrade', 'Upgrade', 'h2c']))).toMatchObject({ websocket: false })
    expect(checkHead(head({}, ['Upgrade', 'websocket']))).toMatchObject({ websocket: false })
  })

  it('an expectation only where there is a body and HTTP/1.1', () => {
    const expecting = ['Expect', '100-Continue']
    expect(checkHead(head({}, [...expecting, 'Content-Length', '5']))).toMatchObject({ expectsContinue: true })
    expect(checkHead(head({}, expecting))).toMatchObject({ expectsContinue: false })
    expect(checkHead(head({ version: '1.0' }, [...expecting, 'Content-Length', '5']))).toMatchObject({
      expectsContinue: false,
      closes: true,
    })
  })
})

it('never throws, and what it accepts has one meaning', () => {
  const text = fc.string({ maxLength: 24, unit: 'binary-ascii' })
  const name = fc.oneof(text, fc.constantFrom('Host', 'Content-Length', 'transfer-encoding', 'Connection', 'Upgrade'))
  const value = fc.oneof(text, fc.constantFrom('app.test', '5', 'chunked', 'close', 'websocket'))
  fc.assert(
    fc.property(
      fc.oneof(fc.constantFrom('GET', 'POST'), text),
      fc.oneof(fc.webPath(), text),
      fc.array(fc.tuple(name, value), { maxLength: 6 }),
      (method, target, pairs) => {
        const checked = checkHead({ method, target, version: '1.1', fields: pairs.flat() })
        if (typeof checked === 'string') return
        const of = (wanted: string) => pairs.filter(([key]) => key.toLowerCase() === wanted)
        expect(of('host').length).toBe(1)
        expect(of('content-length').length + of('transfer-encoding').length).toBeLessThanOrEqual(1)
        expect(checked.path.startsWith('/')).toBe(true)
      },
    ),
  )
})

function websocket(version = '13', key = 'dGhlIHNhbXBsZSBub25jZQ=='): string[] {
  return [
    ...['Connection', 'keep-alive, Upgrade', 'Upgrade', 'WebSocket'],
    ...['Sec-WebSocket-Version', version, 'Sec-WebSocket-Key', key],
  ]
}

// What the serialiser writes is exactly one request to a strict reader, whatever it is given; what could not be is refused.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { readRequests } from '../../test/support/reference-request.ts'
import type { UpstreamRequest } from '../runtime/upstream.ts'
import { writeChunkSize, writeHead, writeLastChunk } from './request-writer.ts'

const request = (part: Partial<UpstreamRequest>): UpstreamRequest => ({
  method: 'GET',
  target: '/',
  fields: [],
  bodyLength: 0,
  websocket: false,
  expectContinue: false,
  ...part,
})

/** Any text at all, rich in what ends lines: CR, LF, and characters whose low byte is one of them. */
const anyText = fc.string({
  unit: fc.oneof(
    { weight: 5, arbitrary: fc.constantFrom('a', 'Z', '0', '-', ' ', '\t', ':', ';', '\u00e9', '/') },
    { weight: 1, arbitrary: fc.constantFrom('\r', '\n', '\r\n', '\u0000', '\u010a', '\u010d', '\u560d', '\u{1f600}') },
  ),
  maxLength: 12,
})
const legalText = fc.string({
  unit: fc.constantFrom('a', 'Z', '0', '-', '\u00e9', '/', '?', '%'),
  minLength: 1,
  maxLength: 12,
})
const legalName = fc.string({ unit: fc.constantFrom('a', 'Z', '0', '-', '_', '~'), minLength: 1, maxLength: 12 })
const name = fc.oneof(legalName, anyText, fc.constantFrom('Host', 'Content-Length', 'transfer-encoding', 'Connection'))

describe('request writer', () => {
  it('writes exactly one request, or refuses', () => {
    let written = 0
    fc.assert(
      fc.property(
        fc.oneof(fc.constantFrom('GET', 'POST', 'PURGE'), anyText),
        fc.oneof({ weight: 3, arbitrary: legalText }, { weight: 1, arbitrary: anyText }),
        fc.array(
          fc.tuple(
            fc.oneof({ weight: 4, arbitrary: legalName }, { weight: 1, arbitrary: name }),
            fc.oneof({ weight: 4, arbitrary: legalText }, { weight: 1, arbitrary: anyText }),
          ),
          { maxLength: 4 },
        ),
        fc.array(fc.string({ unit: fc.constantFrom('a', '\r', '\n', '0'), minLength: 1, maxLength: 20 }), {
          maxLength: 4,
        }),
        fc.boolean(),
        fc.array(fc.tuple(legalName, fc.oneof(legalText, anyText)), { maxLength: 2 }),
        (method, target, pairs, chunks, chunked, trailers) => {
          const body = chunks.join('')
          const bodyLength = chunked ? null : body.length
          let text: string
          try {
            text = writeHead(request({ method, target, fields: pairs.flat(), bodyLength })).text
            if (chunked) {
              text += chunks.map((chunk) => `${writeChunkSize(chunk.length)}${chunk}\r\n`).join('')
              text += writeLastChunk(trailers.flat())
            } else text += body
          } catch (error) {
            expect(error).toBeInstanceOf(TypeError)
            return
          }
          written += 1
          // As the socket will send it.
          const requests = readRequests(Buffer.from(text, 'latin1').toString('latin1'))
          expect(requests).toHaveLength(1)
          expect(requests?.[0]).toMatchObject({ method, target, body })
          expect(requests?.[0]?.fields.slice(0, pairs.length * 2).map((part) => part.trim())).toEqual(
            pairs.flat().map((part) => part.replace(/^[\t ]+|[\t ]+$/g, '')),
          )
        },
      ),
      { numRuns: 2000 },
    )
    expect(written).toBeGreaterThan(300)
  })

  it.each([
    ['a line break in a value', { fields: ['X-A', '1\r\nX-B: 2'] }],
    ['a character whose low byte is LF', { fields: ['X-A', '1\u010aX-B: 2'] }],
    ['a line break in a name', { fields: ['X-A\r\nX-B', '1'] }],
    ['a space in the target', { target: '/a HTTP/1.1\r\n' }],
    ['an empty target', { target: '' }],
    ['a method of two words', { method: 'GET /' }],
    ['a length in the fields', { fields: ['Content-Length', '5'] }],
    ['a coding in the fields', { fields: ['Transfer-Encoding', 'chunked'] }],
    ['a negative length', { bodyLength: -1 }],
    ['no length', { bodyLength: Number.NaN }],
  ])('refuses %s', (_, part) => {
    expect(() => writeHead(request(part))).toThrow(TypeError)
  })

  it('says that a POST has no content, and nothing of content for GET', () => {
    expect(writeHead(request({ method: 'POST' })).text).toBe('POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n')
    expect(writeHead(request({ fields: ['Host', 'a.test'] })).text).toBe('GET / HTTP/1.1\r\nHost: a.test\r\n\r\n')
  })

  it('drops trailers that no one may send', () => {
    expect(writeLastChunk(['Content-Length', '5', 'X-Sum', 'a'])).toBe('0\r\nX-Sum: a\r\n\r\n')
  })
})

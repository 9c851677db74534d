// The parser against a slow reference written from the grammar, at every cut, and table cases for each rule that matters.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { answers, readWithCuts } from '../../test/support/answers.ts'
import { readReference } from '../../test/support/reference-response.ts'
import { ResponseParser } from './response-parser.ts'

const read = (text: string, headRequest = false) => readWithCuts(text, headRequest, [])
const outcome = (text: string, headRequest = false) => read(text, headRequest).outcome

describe('ResponseParser', () => {
  it('agrees with the reference, and with itself at any cuts', () => {
    const cutList = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 3 })
    fc.assert(
      fc.property(answers, fc.boolean(), cutList, (text, headRequest, places) => {
        const whole = read(text, headRequest)
        expect(whole).toEqual(readReference(text, headRequest))
        const cuts = places.map((place) => Math.floor(place * text.length)).sort((a, b) => a - b)
        expect(readWithCuts(text, headRequest, cuts)).toEqual(whole)
      }),
      { numRuns: 3000 },
    )
  })

  it('tells the same at every single cut, and byte by byte', () => {
    fc.assert(
      fc.property(answers, fc.boolean(), (text, headRequest) => {
        const whole = read(text, headRequest)
        for (let cut = 0; cut <= text.length; cut += 1) {
          expect(readWithCuts(text, headRequest, [cut])).toEqual(whole)
        }
        expect(
          readWithCuts(
            text,
            headRequest,
            Array.from({ length: text.length }, (_, index) => index),
          ),
        ).toEqual(whole)
      }),
      { numRuns: 60 },
    )
  })

  it.each([
    ['both lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n'],
    ['both lengths, other order', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n'],
    ['equal lengths twice', 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\ncontent-length: 5\r\n\r\n'],
    ['a list of lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\n'],
    ['an empty length', 'HTTP/1.1 200 OK\r\nContent-Length: \r\n\r\n'],
    ['a signed length', 'HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\n'],
    ['a length beyond 15 digits', 'HTTP/1.1 200 OK\r\nContent-Length: 0000000000000005\r\n\r\n'],
    ['chunked twice', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n'],
    ['another coding', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n'],
    ['an empty coding', 'HTTP/1.1 200 OK\r\nTransfer-Encoding:\r\n\r\n'],
    ['chunked in HTTP/1.0', 'HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n'],
    ['a length on 204', 'HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\n'],
    ['a length on 100', 'HTTP/1.1 100 Go\r\nContent-Length: 5\r\n\r\n'],
    ['chunked on 204', 'HTTP/1.1 204 No\r\nTransfer-Encoding: chunked\r\n\r\n'],
    ['a folded line', 'HTTP/1.1 200 OK\r\nX-A: 1\r\n more: 2\r\n\r\n'],
    ['a folded first line', 'HTTP/1.1 200 OK\r\n X-A: 1\r\n\r\n'],
    ['a space before the colon', 'HTTP/1.1 200 OK\r\nX-A : 1\r\n\r\n'],
    ['a bare LF', 'HTTP/1.1 200 OK\nX-A: 1\r\n\r\n'],
    ['a bare LF at the end', 'HTTP/1.1 200 OK\r\nX-A: 1\r\n\n'],
    ['a bare CR', 'HTTP/1.1 200 OK\r\nX-A: 1\rX-B: 2\r\n\r\n'],
    ['CR CR LF', 'HTTP/1.1 200 OK\r\r\nX-A: 1\r\n\r\n'],
    ['a NUL in a value', 'HTTP/1.1 200 OK\r\nX-A: 1\u0000\r\n\r\n'],
    ['HTTP/2.0', 'HTTP/2.0 200 OK\r\n\r\n'],
    ['another protocol', 'SSH-2.0-OpenSSH\r\n'],
    ['an empty line in front', '\r\nHTTP/1.1 200 OK\r\n\r\n'],
  ])('refuses %s', (_, text) => {
    expect(outcome(text)).toBe('failed')
  })

  it.each([
    ['nine digits', '000000005\r\nhello\r\n0\r\n\r\n'],
    ['a prefix', '0x5\r\nhello\r\n0\r\n\r\n'],
    ['a sign', '+5\r\nhello\r\n0\r\n\r\n'],
    ['a space', '5 \r\nhello\r\n0\r\n\r\n'],
    ['no digit', '\r\nhello\r\n0\r\n\r\n'],
    ['an empty extension', '5;\r\nhello\r\n0\r\n\r\n'],
    ['a bare LF', '5\nhello\r\n0\r\n\r\n'],
    ['a bare LF in an extension', '5;a\nhello\r\n0\r\n\r\n'],
    ['no CR LF after the data', '5\r\nhello0\r\n\r\n'],
    ['more data than said', '5\r\nhello!\r\n0\r\n\r\n'],
    ['a long extension', `5;${'a'.repeat(257)}\r\nhello\r\n0\r\n\r\n`],
    ['many extensions', `${`1;${'a'.repeat(200)}\r\nx\r\n`.repeat(21)}0\r\n\r\n`],
    ['long trailers', `0\r\nX-A: ${'a'.repeat(4096)}\r\n\r\n`],
    ['many trailers', `0\r\n${'X-A: 1\r\n'.repeat(21)}\r\n`],
    ['a broken trailer', '0\r\nX-A 1\r\n\r\n'],
  ])('refuses chunks with %s', (_, body) => {
    expect(outcome(`HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${body}`)).toBe('failed')
  })

  it('holds heads and interim answers to their bounds', () => {
    const head = (fields: string) => `HTTP/1.1 200 OK\r\n${fields}Content-Length: 0\r\n\r\n`
    expect(outcome(head('X-A: 1\r\n'.repeat(199)))).toBe('complete')
    expect(outcome(head('X-A: 1\r\n'.repeat(200)))).toBe('failed')
    const room = 65_536 - head('X-A: \r\n').length
    expect(outcome(head(`X-A: ${'a'.repeat(room)}\r\n`))).toBe('complete')
    expect(outcome(head(`X-A: ${'a'.repeat(room + 1)}\r\n`))).toBe('failed')
    expect(outcome(`HTTP/1.1 200 ${'a'.repeat(70_000)}`)).toBe('failed')
    const interim = 'HTTP/1.1 103 Early\r\nLink: </a>\r\n\r\n'
    expect(outcome(interim.repeat(8) + head(''))).toBe('complete')
    expect(outcome(interim.repeat(9) + head(''))).toBe('failed')
  })

  it('knows where there is no body whatever the head says', () => {
    const long = 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n'
    expect(read(`${long}hello`, true)).toMatchObject({ outcome: 'complete', body: '', consumed: long.length })
    expect(outcome('HTTP/1.1 304 Same\r\nContent-Length: 5\r\n\r\n')).toBe('complete')
    expect(outcome('HTTP/1.1 304 Same\r\nTransfer-Encoding: chunked\r\n\r\n')).toBe('complete')
    expect(outcome('HTTP/1.1 204 No\r\nContent-Length: 0\r\n\r\n')).toBe('complete')
  })

  it('drops trailers that change framing, routing or identity, and keeps the others', () => {
    const text =
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 5\r\nSet-Cookie: a\r\ngrpc-status: 0\r\n\r\n'
    expect(read(text).trailers).toEqual(['grpc-status', '0'])
  })

  it('hands out small chunks of one input as one view, and never reads twice what drips', () => {
    const pieces: number[] = []
    const parser = new ResponseParser({ onInterim() {}, onHead() {}, onChunk: (chunk) => pieces.push(chunk.length) })
    parser.begin(false)
    const text = `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${'1\r\nx\r\n'.repeat(5000)}0\r\n\r\n`
    parser.feed(Buffer.from(text), 0, text.length)
    expect([parser.state, pieces]).toEqual(['complete', [5000]])
  })

  it('stops where the sink says so', () => {
    let calls = 0
    const parser = new ResponseParser({
      onInterim() {},
      onHead: () => {
        calls += 1
        parser.stop()
      },
      onChunk: () => {
        calls += 1
      },
    })
    parser.begin(false)
    const bytes = Buffer.from('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello')
    parser.feed(bytes, 0, bytes.length)
    expect([calls, parser.state]).toEqual([1, 'stopped'])
  })
})

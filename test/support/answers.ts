// Answers for the parser's tests: mostly legal ones made of parts, then bent in one or more places, as text with one
// character for each byte. And the parser run over any cuts of them.
import fc from 'fast-check'
import { ResponseParser } from '../../dataplane/http1/response-parser.ts'
import type { ReadAnswer } from './reference-response.ts'

const fieldName = fc.constantFrom(
  'X-A',
  'content-type',
  'Content-Length',
  'content-length',
  'Transfer-Encoding',
  'transfer-encoding',
  'Connection',
  'Set-Cookie',
  'Trailer',
  'Host',
  'Keep-Alive',
  '_',
  'a b',
  '',
  'X:Y',
  'X\u00e9',
)
const fieldValue = fc.constantFrom(
  '',
  'a',
  ' a  b ',
  '5',
  '0',
  '05',
  '+5',
  '5, 5',
  '5 5',
  '0x5',
  '9999999999999999',
  '123456789012345',
  'chunked',
  'Chunked',
  '\tchunked \t',
  'gzip, chunked',
  'chunked, chunked',
  'xchunked',
  '"chunked"',
  'close',
  'keep-alive, close',
  '\u00e9\u0001',
  'x\ty',
  '\u007f',
)
const fieldLine = fc.oneof(
  { weight: 40, arbitrary: fc.constantFrom('X-A: 1', 'x-b:2', 'Date: now', 'X-Empty:', 'X-Tab:\t1\t') },
  { weight: 2, arbitrary: fc.tuple(fieldName, fieldValue).map(([name, value]) => `${name}: ${value}`) },
  { weight: 1, arbitrary: fc.constantFrom(' folded', '\tfolded', 'no colon', 'X : 1', ': 1') },
)
const framing = fc.constantFrom(
  'Content-Length: 5',
  'Content-Length: 0',
  'Transfer-Encoding: chunked',
  'Transfer-Encoding: chunked',
  'Transfer-Encoding: chunked',
  'Connection: close',
)
const framings = fc.oneof(
  { weight: 8, arbitrary: framing.map((line) => [line]) },
  { weight: 1, arbitrary: fc.array(framing, { maxLength: 2 }) },
)
const status = fc.constantFrom('200 OK', '200 ', '200', '404 Not \u00e9', '204 None', '304 Same', '500 \t', '299 x')
const oddStatus = fc.constantFrom(
  '099 x',
  '600 x',
  '20 x',
  '2000 x',
  '2x0 x',
  '101 Switching',
  ' 200 x',
  '200\tOK',
  '200 \u0000',
)
const interimStatus = fc.constantFrom('100 Continue', '103 Early Hints', '102 ', '199 x')
const version = fc.oneof(
  { weight: 20, arbitrary: fc.constant('HTTP/1.1') },
  { weight: 2, arbitrary: fc.constant('HTTP/1.0') },
  { weight: 1, arbitrary: fc.constantFrom('HTTP/1.2', 'http/1.1', 'HTTP/2.0', 'HTTP/1.', 'HTTP/11') },
)
const head = (statuses: fc.Arbitrary<string>, lines: fc.Arbitrary<string[]>) =>
  fc.tuple(version, statuses, lines).map(([name, text, fields]) => [`${name} ${text}`, ...fields, '', ''].join('\r\n'))
const legalExtension = fc.constantFrom('', '', '', ';a', ';a=b', ';a="b;\\"c"', ';a=""', ';a;b=c')
const oddExtension = fc.constantFrom(
  ';',
  ' ;a',
  ';a=',
  ';a="',
  ';=a',
  ';a="b"c',
  `;${'a'.repeat(256)}`,
  `;${'a'.repeat(257)}`,
)
const extension = fc.oneof({ weight: 30, arbitrary: legalExtension }, { weight: 1, arbitrary: oddExtension })
const chunk = fc
  .tuple(fc.string({ unit: fc.constantFrom('a', '\r', '\n', '0', '\u00ff'), maxLength: 20 }), extension, fc.boolean())
  .map(([data, extra, upper]) => {
    const size = data.length.toString(16)
    return data === '' ? '' : `${upper ? size.toUpperCase().padStart(8, '0') : size}${extra}\r\n${data}\r\n`
  })
const lastChunk = fc
  .tuple(
    fc.constantFrom('0', '0', '0', '0', '0', '00000000', '000000000', '0;a'),
    fc.array(fieldLine, { maxLength: 3 }),
  )
  .map(([size, lines]) => `${size}\r\n${lines.map((line) => `${line}\r\n`).join('')}\r\n`)
const chunkedBody = fc
  .tuple(fc.array(chunk, { maxLength: 5 }), lastChunk)
  .map(([chunks, last]) => chunks.join('') + last)
const body = fc.oneof(
  { weight: 3, arbitrary: chunkedBody },
  { weight: 2, arbitrary: fc.constantFrom('', 'hello', 'hello world', 'hell') },
  {
    weight: 1,
    arbitrary: fc.constantFrom('5\r\nhello\r\n', '5\nhello', '5\r\nhelloX\r\n', '123456789\r\n', 'g\r\n', '-1\r\n'),
  },
)
const straight = fc
  .tuple(
    fc.array(head(interimStatus, fc.array(fieldLine, { maxLength: 2 })), { maxLength: 2 }),
    head(
      fc.oneof({ weight: 12, arbitrary: status }, { weight: 1, arbitrary: oddStatus }),
      fc.tuple(fc.array(fieldLine, { maxLength: 3 }), framings).map(([a, b]) => [...a, ...b]),
    ),
    body,
    fc.constantFrom('', '', 'HTTP/1.1 200 OK\r\n\r\n', 'x'),
  )
  .map(([interims, final, content, rest]) => interims.join('') + final + content + rest)

const bend = fc.record({
  at: fc.double({ min: 0, max: 1, noNaN: true }),
  remove: fc.constantFrom(0, 0, 1, 1, 2, 5),
  insert: fc.constantFrom(
    '',
    '',
    '\r',
    '\n',
    '\r\n',
    ' ',
    '\t',
    ':',
    ';',
    '\u0000',
    '\u00ff',
    'a',
    '0',
    ',',
    '"',
    '\r\n\r\n',
  ),
})

/** An answer, legal or not. */
export const answers: fc.Arbitrary<string> = fc
  .tuple(
    straight,
    fc.oneof({ weight: 3, arbitrary: fc.constant([]) }, { weight: 3, arbitrary: fc.array(bend, { maxLength: 3 }) }),
  )
  .map(([text, bends]) => {
    let bent = text
    for (const { at, remove, insert } of bends) {
      const place = Math.floor(at * bent.length)
      bent = bent.slice(0, place) + insert + bent.slice(place + remove)
    }
    return bent
  })

/** Runs the parser over `text` cut at `cuts` (ascending). Each piece lies in poisoned memory that is wiped afterwards. */
export function readWithCuts(text: string, headRequest: boolean, cuts: readonly number[]): ReadAnswer {
  const heads: string[] = []
  let content = ''
  const parser = new ResponseParser({
    onInterim: ({ status: code, fields }) => heads.push(JSON.stringify([code, fields])),
    onHead: ({ status: code, fields }, length) => heads.push(JSON.stringify([code, length, fields])),
    onChunk: (chunk) => {
      content += Buffer.from(chunk).toString('latin1')
    },
  })
  parser.begin(headRequest)
  let consumed = 0
  let from = 0
  for (const to of [...cuts, text.length]) {
    const piece = Buffer.alloc(to - from + 16, 0x58)
    piece.write(text.slice(from, to), 8, 'latin1')
    const stopped = parser.feed(piece, 8, 8 + to - from)
    piece.fill(0x59)
    consumed = from + stopped - 8
    from = to
    if (parser.state !== 'head' && parser.state !== 'body') break
  }
  const { state } = parser
  const outcome = state === 'head' || state === 'body' ? 'more' : state === 'stopped' ? 'failed' : state
  return {
    outcome,
    heads,
    body: content,
    trailers: parser.trailers,
    consumed: outcome === 'complete' || outcome === 'switched' ? consumed : -1,
  }
}

// Strict incremental parser of one HTTP/1.x answer (RFC 9112): interim heads, the final head, its body, its trailers.
// No I/O and no clock. Linear for any split of the input, and the same events whatever the split. connection.ts feeds
// it. A backend is as hostile as a client: whatever is ambiguous ends the answer with a problem, nothing is guessed.
import { ChunkedDecoder } from './chunked-decoder.ts'
import { CR, LF } from './grammar.ts'
import { type ParseProblem, type ResponseHead, readFields, readHead } from './response-head.ts'
import { withoutForbiddenTrailers } from './trailers.ts'

/** Bounds of one answer. */
export interface ParserLimits {
  /** Bytes of one head, interim ones included. */
  readonly headBytes: number
  readonly headFields: number
  readonly trailerBytes: number
  readonly trailerFields: number
  readonly interimAnswers: number
}

const DEFAULT_PARSER_LIMITS: ParserLimits = {
  headBytes: 65_536,
  headFields: 200,
  trailerBytes: 4096,
  trailerFields: 20,
  interimAnswers: 8,
}

/** Hears what was read. It may call `stop` on the parser. */
export interface ResponseSink {
  /** 1xx except 101. */
  onInterim(head: ResponseHead): void
  /** Bytes of the body, null for chunked or until close, 0 for none. */
  onHead(head: ResponseHead, length: number | null): void
  /** A view into the bytes given to `feed`, valid during the call. */
  onChunk(chunk: Uint8Array): void
}

/**
 * `head`, `body`: more input is wanted. `complete`: the answer is whole. `switched`: a 101 was read (`head` has it), what
 * follows is another protocol. `failed`: `problem` says why. `stopped`: the sink asked for it.
 */
export type ParserState = 'head' | 'body' | 'complete' | 'switched' | 'failed' | 'stopped'

const VERSION_PREFIX = Buffer.from('HTTP/1.', 'latin1')

/** How the final answer's body ends. */
const FIXED = 0
const CHUNKED = 1
const TRAILERS = 2
const UNTIL_CLOSE = 3

/** Reads one answer after another: `begin`, then `feed` until the state is an end. */
export class ResponseParser {
  state: ParserState = 'complete'
  problem: ParseProblem | undefined = undefined
  /** The latest head. */
  head: ResponseHead | undefined = undefined
  trailers: readonly string[] = []
  /** The end of the body is the end of the connection. */
  untilClose = false

  readonly #sink: ResponseSink
  readonly #limits: ParserLimits
  #headRequest = false
  #interims = 0
  #framing = FIXED
  #remaining = 0
  #chunks: ChunkedDecoder | undefined = undefined
  /** The head or trailer section read so far, where it spans inputs. */
  #carry: Buffer | undefined = undefined
  #blockLength = 0
  /** How much of CR LF CR LF the latest bytes of the section are. */
  #matched = 0

  constructor(sink: ResponseSink, limits: ParserLimits = DEFAULT_PARSER_LIMITS) {
    this.#sink = sink
    this.#limits = limits
  }

  /** Expects a new answer. `headRequest`: the request was HEAD, so no body follows whatever the head says. */
  begin(headRequest: boolean): void {
    this.state = 'head'
    this.problem = undefined
    this.head = undefined
    this.trailers = []
    this.untilClose = false
    this.#headRequest = headRequest
    this.#interims = 0
    this.#beginBlock(0)
  }

  /** Nothing more is read or told. */
  stop(): void {
    this.state = 'stopped'
    this.#carry = undefined
  }

  /**
   * Reads `bytes` from `start` to `end` and returns where it stopped: `end`, or earlier where the state became an end.
   * The bytes may be moved inside that range (small chunks are joined in place).
   */
  feed(bytes: Buffer, start: number, end: number): number {
    let position = start
    while (position < end) {
      if (this.state === 'head') position = this.#feedHead(bytes, position, end)
      else if (this.state === 'body') position = this.#feedBody(bytes, position, end)
      else break
    }
    return position
  }

  /** The connection ended cleanly. True where that is the end of the answer. */
  finish(): boolean {
    if (this.state !== 'body' || !this.untilClose) return false
    this.state = 'complete'
    return true
  }

  #feedHead(bytes: Buffer, start: number, end: number): number {
    let position = start
    // Checked while it arrives, so that a peer of another protocol is refused at once and not after a timeout.
    while (this.#blockLength + position - start < VERSION_PREFIX.length && position < end) {
      if (bytes[position] !== VERSION_PREFIX[this.#blockLength + position - start]) return this.#fail('not HTTP/1', end)
      position++
    }
    const blockEnd = this.#scanBlock(bytes, start, position, end, this.#limits.headBytes, 'head too large')
    if (blockEnd === -1) return end
    const carry = this.#carry
    const head =
      carry === undefined
        ? readHead(bytes, start, blockEnd, this.#limits.headFields)
        : readHead(carry, 0, this.#blockLength, this.#limits.headFields)
    if (typeof head === 'string') return this.#fail(head, end)
    this.head = head
    this.#beginBlock(0)
    if (head.status === 101) this.state = 'switched'
    else if (head.status < 200) {
      if (++this.#interims > this.#limits.interimAnswers) return this.#fail('too many interim answers', end)
      this.#sink.onInterim(head)
    } else this.#beginBody(head)
    return blockEnd
  }

  /** RFC 9112 section 6.3. */
  #beginBody(head: ResponseHead): void {
    let length: number | null = null
    if (this.#headRequest || head.status === 204 || head.status === 304) length = 0
    else if (head.contentLength !== undefined) length = head.contentLength
    if (length !== null) {
      this.#framing = FIXED
      this.#remaining = length
    } else if (head.chunked) {
      this.#framing = CHUNKED
      this.#chunks = new ChunkedDecoder()
    } else {
      this.#framing = UNTIL_CLOSE
      this.untilClose = true
    }
    this.state = length === 0 ? 'complete' : 'body'
    this.#sink.onHead(head, length)
  }

  #feedBody(bytes: Buffer, start: number, end: number): number {
    switch (this.#framing) {
      case FIXED: {
        const chunkEnd = Math.min(end, start + this.#remaining)
        this.#remaining -= chunkEnd - start
        if (this.#remaining === 0) this.state = 'complete'
        this.#sink.onChunk(bytes.subarray(start, chunkEnd))
        return chunkEnd
      }
      case CHUNKED:
        return this.#feedChunks(bytes, start, end)
      case TRAILERS:
        return this.#feedTrailers(bytes, start, end)
      default:
        this.#sink.onChunk(bytes.subarray(start, end))
        return end
    }
  }

  #feedChunks(bytes: Buffer, start: number, end: number): number {
    const chunks = this.#chunks
    if (chunks === undefined) return this.#fail('bad chunk size', end)
    const result = chunks.decode(bytes, start, end)
    if (result === 'last') {
      this.#framing = TRAILERS
      this.#chunks = undefined
      // The line of the last chunk was just read, so an empty line is the end already.
      this.#beginBlock(2)
    }
    if (chunks.dataEnd > chunks.dataStart) {
      this.#sink.onChunk(bytes.subarray(chunks.dataStart, chunks.dataEnd))
      if (this.state !== 'body') return end
    }
    if (result !== 'more' && result !== 'last') return this.#fail(result, end)
    return chunks.position
  }

  #feedTrailers(bytes: Buffer, start: number, end: number): number {
    const blockEnd = this.#scanBlock(bytes, start, start, end, this.#limits.trailerBytes, 'trailers too large')
    if (blockEnd === -1) return end
    const fields: string[] = []
    const [source, from, to] =
      this.#carry === undefined ? [bytes, start, blockEnd] : [this.#carry, 0, this.#blockLength]
    const problem = readFields(source, from, to - 2, this.#limits.trailerFields, fields)
    if (problem !== undefined) return this.#fail(problem === 'too many fields' ? 'too many trailers' : problem, end)
    this.trailers = withoutForbiddenTrailers(fields)
    this.#beginBlock(0)
    this.state = 'complete'
    return blockEnd
  }

  #beginBlock(matched: number): void {
    this.#carry = undefined
    this.#blockLength = 0
    this.#matched = matched
  }

  /**
   * Looks for the empty line that ends a section, from `position` (the section's bytes in this input begin at `start`).
   * Returns where the section ends, or -1 where it goes on or has failed. Each byte is looked at once.
   */
  #scanBlock(
    bytes: Buffer,
    start: number,
    position: number,
    end: number,
    maxBytes: number,
    tooLarge: ParseProblem,
  ): number {
    const limit = Math.min(end, start + maxBytes - this.#blockLength)
    let matched = this.#matched
    let index = position
    while (index < limit && matched !== 4) {
      const byte = bytes[index++]
      if (byte === CR) {
        if (matched === 1 || matched === 3) return this.#fail('bad line ending', -1)
        matched++
      } else if (byte === LF) {
        if (matched === 0 || matched === 2) return this.#fail('bad line ending', -1)
        matched++
      } else {
        if (matched === 1 || matched === 3) return this.#fail('bad line ending', -1)
        matched = 0
      }
    }
    this.#matched = matched
    if (matched === 4) {
      if (this.#carry !== undefined) this.#keep(bytes, start, index, maxBytes)
      return index
    }
    if (index < end) return this.#fail(tooLarge, -1)
    this.#keep(bytes, start, end, maxBytes)
    return -1
  }

  #keep(bytes: Buffer, start: number, end: number, maxBytes: number): void {
    const length = this.#blockLength + end - start
    let carry = this.#carry
    if (carry === undefined || carry.length < length) {
      // Doubled, so that a head which comes byte by byte is copied a bounded number of times.
      const larger = Buffer.allocUnsafeSlow(Math.min(maxBytes, Math.max(1024, length * 2)))
      if (carry !== undefined) carry.copy(larger, 0, 0, this.#blockLength)
      carry = larger
      this.#carry = carry
    }
    bytes.copy(carry, this.#blockLength, start, end)
    this.#blockLength = length
  }

  #fail(problem: ParseProblem, position: number): number {
    this.state = 'failed'
    this.problem = problem
    this.#carry = undefined
    return position
  }
}

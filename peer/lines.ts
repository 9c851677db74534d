// JSON values, one in each line, out of a stream of bytes, bounded in every direction. The receiving end of content and
// of a pulled set. Backpressure is the reader's own: nothing is read ahead of the loop that asks.
import type { Readable } from 'node:stream'

/** What was sent is no list of JSON lines, or too much. */
export class BadLines extends Error {
  override readonly name = 'BadLines'
}

/** A line: its text as it came, and what it says. */
export interface JsonLine {
  readonly text: string
  readonly value: unknown
}

const NEWLINE = 10

/** Reads lines until the stream ends. Throws BadLines, and what the stream throws. A last line without an end is torn. */
export async function* readJsonLines(
  stream: Readable,
  limits: { readonly line: number; readonly total: number },
): AsyncGenerator<JsonLine> {
  let parts: Buffer[] = []
  let length = 0
  let total = 0
  // A stream that is given up is not destroyed here: it may be a request that still wants an answer.
  for await (const chunk of stream.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    total += chunk.length
    if (total > limits.total) throw new BadLines(`more than ${limits.total} bytes`)
    let from = 0
    for (;;) {
      const end = chunk.indexOf(NEWLINE, from)
      const part = chunk.subarray(from, end < 0 ? chunk.length : end)
      length += part.length
      if (length > limits.line) throw new BadLines(`a line of more than ${limits.line} bytes`)
      parts.push(part)
      if (end < 0) break
      yield parse(Buffer.concat(parts, length).toString('utf8'))
      parts = []
      length = 0
      from = end + 1
    }
  }
  if (length > 0) throw new BadLines('the last line is torn')
}

function parse(text: string): JsonLine {
  try {
    return { text, value: JSON.parse(text) as unknown }
  } catch {
    // The text may hold a key: it is not shown.
    throw new BadLines('a line that is no JSON')
  }
}

/** Reads a whole body of at most `limit` bytes and parses it. Throws BadLines. */
export async function readJson(stream: Readable, limit: number): Promise<unknown> {
  const parts: Buffer[] = []
  let length = 0
  for await (const chunk of stream.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    length += chunk.length
    if (length > limit) throw new BadLines(`more than ${limit} bytes`)
    parts.push(chunk)
  }
  return parse(Buffer.concat(parts, length).toString('utf8')).value
}

// The head of an answer on its way to the client: the backend's fields without what ends here, or the gateway's own.
// Pure. exchange.ts calls it; the policies' onResponse hooks run on what comes out.
import type { Problem } from '../errors.ts'
import type { ResponseFields } from './field-list.ts'
import { endsHere, listedNames } from './field-rules.ts'

/** Only the gateway speaks in its own name; a backend that does would pass its answer off as the gateway's. */
const OWN_PREFIX = 'x-atrium-'

/** What an answer of a backend becomes. */
export interface AnswerShape {
  /** Bytes, null for unknown, 0 for none. */
  readonly length: number | null
  /** Values of its Trailer fields. */
  readonly announced: readonly string[]
}

/**
 * Copies a backend's fields into `head`. Content-Length stays only where it tells of a body that is not sent (HEAD and
 * 304, RFC 9110 section 8.6); elsewhere the codec writes the length.
 * @param reshaped the body may change on its way, so its length is unknown.
 */
export function takeAnswer(
  head: ResponseFields,
  method: string,
  fields: readonly string[],
  length: number | null,
  reshaped: boolean,
): AnswerShape {
  const bodiless = method === 'HEAD' || head.status === 204 || head.status === 304
  const tellsLength = method === 'HEAD' || head.status === 304
  const sent = bodiless ? 0 : reshaped && length !== 0 ? null : length
  const connection = valuesOf(fields, 'connection')
  const listed = connection.length === 0 ? undefined : listedNames(connection)
  const announced: string[] = []
  for (let at = 0; at + 1 < fields.length; at += 2) {
    const name = fields[at] ?? ''
    const value = fields[at + 1] ?? ''
    const lower = name.toLowerCase()
    if (lower === 'content-length') {
      if (tellsLength && !reshaped) head.append(name, lower, value)
    } else if (lower === 'trailer') {
      // Without chunks there is no place for trailers, so none may be promised.
      if (sent !== null) continue
      announced.push(value)
      head.append(name, lower, value)
    } else if (!endsHere(lower) && !listed?.has(lower) && !lower.startsWith(OWN_PREFIX)) {
      head.append(name, lower, value)
    }
  }
  return { length: sent, announced }
}

/** Fields of an interim answer that may pass (RFC 9110 section 15.2): what a client can use before the final head. */
export function interimFields(fields: readonly string[]): readonly string[] {
  const passing: string[] = []
  const connection = valuesOf(fields, 'connection')
  const listed = connection.length === 0 ? undefined : listedNames(connection)
  for (let at = 0; at + 1 < fields.length; at += 2) {
    const name = fields[at] ?? ''
    const lower = name.toLowerCase()
    if (endsHere(lower) || lower === 'trailer' || listed?.has(lower) || lower.startsWith(OWN_PREFIX)) continue
    passing.push(name, fields[at + 1] ?? '')
  }
  return passing
}

/** Fills the head of a gateway answer. */
export function takeProblem(head: ResponseFields, problem: Problem, more: readonly string[]): void {
  for (let at = 0; at + 1 < problem.fields.length; at += 2) {
    head.add(problem.fields[at] ?? '', problem.fields[at + 1] ?? '')
  }
  for (let at = 0; at + 1 < more.length; at += 2) head.add(more[at] ?? '', more[at + 1] ?? '')
}

function valuesOf(fields: readonly string[], wanted: string): string[] {
  const values: string[] = []
  for (let at = 0; at + 1 < fields.length; at += 2) {
    const name = fields[at] ?? ''
    if (name.length === wanted.length && name.toLowerCase() === wanted) values.push(fields[at + 1] ?? '')
  }
  return values
}

// A file of requests with what is expected of each: a routing test for pull requests. Strict, because a misspelt
// expectation that is passed over would be a test that always passes.
import { readFileSync } from 'node:fs'
import { isMap, LineCounter, parseDocument } from 'yaml'
import type { ExplainQuery } from '../../dataplane/explain-types.ts'
import { usageFailure } from '../exit.ts'
import { EXPECTABLE, type Expectable, type Expectations } from './expectations.ts'

export interface ExplainCase {
  /** `cases.yaml:12`. */
  readonly place: string
  readonly query: ExplainQuery
  readonly expect: Expectations
}

const FIELDS = ['name', 'request', 'headers', 'client', 'sni', 'clientCertificate', 'body', 'expect']

/** Reads a case file: a list of `request`, `headers`, `client`, `sni`, `expect`. Throws a usage failure with a line. */
export function readCases(file: string): readonly ExplainCase[] {
  const lines = new LineCounter()
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch {
    throw usageFailure(`${file} cannot be read.`)
  }
  const document = parseDocument(text, { lineCounter: lines, schema: 'failsafe' })
  const [error] = document.errors
  if (error !== undefined) throw usageFailure(`${file}: ${error.message}`)
  const list: unknown = document.toJS({ maxAliasCount: 0 })
  if (!Array.isArray(list)) throw usageFailure(`${file} must be a list of requests.`)
  return list.map((item: unknown, index): ExplainCase => {
    const node = document.getIn([index], true)
    const offset = isMap(node) ? (node.range?.[0] ?? 0) : 0
    return readCase(item, `${file}:${lines.linePos(offset).line}`)
  })
}

/** One request of a case file. `place` names it in failures. */
export function readCase(item: unknown, place: string): ExplainCase {
  const fields = record(item, place)
  const strange = Object.keys(fields).find((field) => !FIELDS.includes(field))
  if (strange !== undefined) throw usageFailure(`${place}: ${strange} is none of ${FIELDS.join(', ')}.`)
  const { method, url } = requestLine(String(fields['request'] ?? ''), place)
  const headers = Object.entries(record(fields['headers'] ?? {}, place)).map(([name, value]): [string, string] => [
    name,
    String(value),
  ])
  const { client, sni, clientCertificate, body } = fields
  return {
    place,
    query: {
      method,
      url,
      headers,
      ...(client === undefined ? {} : { clientAddress: String(client) }),
      ...(sni === undefined ? {} : { sni: String(sni) }),
      ...(clientCertificate === 'none' ? { clientCertificate: 'none' as const } : {}),
      ...(body === undefined ? {} : { bodyLength: Number(body) }),
    },
    expect: readExpectations(record(fields['expect'] ?? {}, place), place),
  }
}

function requestLine(text: string, place: string): { readonly method: string; readonly url: string } {
  const match = /^(?:([A-Z]+) )?(https?:\/\/\S+)$/.exec(text.trim())
  if (match === null) throw usageFailure(`${place}: request is written like GET https://shop.acme.example.com/api.`)
  return { method: match[1] ?? 'GET', url: match[2] ?? '' }
}

function readExpectations(fields: Readonly<Record<string, unknown>>, place: string): Expectations {
  const expectations: Partial<Record<Expectable, string>> = {}
  for (const [field, value] of Object.entries(fields)) {
    const what = EXPECTABLE.find((each) => each === field)
    if (what === undefined) throw usageFailure(`${place}: expect.${field} is none of ${EXPECTABLE.join(', ')}.`)
    expectations[what] = String(value)
  }
  return expectations
}

function record(value: unknown, place: string): Readonly<Record<string, unknown>> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>
  throw usageFailure(`${place}: this is no list of fields.`)
}

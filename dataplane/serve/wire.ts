// Answers as HTTP/1.1 text, for the places where no ServerResponse exists: refused bytes and upgraded connections. Pure.
import { STATUS_CODES } from 'node:http'
import type { ResponseHead } from '../../model/filter.ts'
import type { Problem } from '../errors.ts'

/** The head of a final answer, empty line included, to be written as latin1. */
export function headText(status: number, fields: readonly string[]): string {
  let text = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? 'Unknown'}\r\n`
  for (let at = 0; at + 1 < fields.length; at += 2) text += `${fields[at] ?? ''}: ${fields[at + 1] ?? ''}\r\n`
  return `${text}\r\n`
}

/** A whole gateway answer after which the connection closes. */
export function problemText(problem: Problem): string {
  const fields = [...problem.fields, 'date', new Date().toUTCString(), 'content-length', String(problem.body.length)]
  fields.push('connection', 'close')
  return headText(problem.status, fields) + Buffer.from(problem.body).toString('latin1')
}

/** Name, value, name, value … of a head. */
export function fieldsOf(head: ResponseHead): string[] {
  const fields: string[] = []
  head.forEach((name, value) => {
    fields.push(name, value)
  })
  return fields
}

// Header fields of one message in wire order: what Head promises, over a flat list. Pure. Every codec uses it for
// requests and responses; the values that code sets are checked here, so no policy can write a second header line.
import type { Head, HeaderId, ResponseHead } from '../../model/filter.ts'

const NAME = /^[!#$%&'*+.^`|~0-9A-Za-z_-]+$/
// Bytes from 0x80 on (obs-text) pass; tabs are legal inside a value (RFC 9110 section 5.5).
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/

/** Whether `name` is a field name (a token, RFC 9110 section 5.1). */
export function validFieldName(name: string): boolean {
  return NAME.test(name)
}

/** Whether `value` holds only what RFC 9110 section 5.5 allows: no CR, LF, NUL or other control byte. */
export function validFieldValue(value: string): boolean {
  return VALUE.test(value)
}

/** Fields in wire order. Mutable; belongs to one message. */
export class FieldList implements Head {
  #flat: string[]
  #lower: string[]

  /** Takes over both lists: name, value, name, value … and the names in lower case, one for each field. */
  constructor(flat: string[] = [], lower: string[] = []) {
    this.#flat = flat
    this.#lower = lower
  }

  get(name: HeaderId): string | undefined {
    const at = this.#lower.indexOf(name)
    return at < 0 ? undefined : this.#flat[at * 2 + 1]
  }

  getAll(name: HeaderId): readonly string[] {
    const values: string[] = []
    for (let at = this.#lower.indexOf(name); at >= 0; at = this.#lower.indexOf(name, at + 1)) {
      values.push(this.#flat[at * 2 + 1] ?? '')
    }
    return values
  }

  forEach(visit: (name: string, value: string) => void): void {
    const flat = this.#flat
    for (let at = 0; at + 1 < flat.length; at += 2) visit(flat[at] ?? '', flat[at + 1] ?? '')
  }

  /** Throws a TypeError for a name or value that may not be sent: a fault of the caller, fenced by the exchange. */
  set(name: string, value: string): void {
    const lower = checked(name, value)
    const at = this.#lower.indexOf(lower)
    if (at < 0) {
      this.#append(name, lower, value)
      return
    }
    this.#flat[at * 2] = name
    this.#flat[at * 2 + 1] = value
    if (this.#lower.indexOf(lower, at + 1) >= 0) this.#removeFrom(lower, at + 1)
  }

  /** Throws like `set`. */
  add(name: string, value: string): void {
    this.#append(name, checked(name, value), value)
  }

  remove(name: HeaderId): void {
    if (this.#lower.includes(name)) this.#removeFrom(name, 0)
  }

  /** Adds a field whose name and value a parser has already checked. `lower` is the name in lower case. */
  append(name: string, lower: string, value: string): void {
    this.#append(name, lower, value)
  }

  /** Name, value, name, value … in wire order. The list itself, not a copy. */
  fields(): readonly string[] {
    return this.#flat
  }

  #append(name: string, lower: string, value: string): void {
    this.#flat.push(name, value)
    this.#lower.push(lower)
  }

  #removeFrom(lower: string, from: number): void {
    const flat: string[] = []
    const names: string[] = []
    for (let at = 0; at < this.#lower.length; at += 1) {
      const name = this.#lower[at] ?? ''
      if (at >= from && name === lower) continue
      names.push(name)
      flat.push(this.#flat[at * 2] ?? '', this.#flat[at * 2 + 1] ?? '')
    }
    this.#flat = flat
    this.#lower = names
  }
}

/** The head of an answer on its way to the client. */
export class ResponseFields extends FieldList implements ResponseHead {
  status: number

  constructor(status: number) {
    super()
    this.status = status
  }
}

function checked(name: string, value: string): string {
  if (!validFieldName(name)) throw new TypeError(`header name ${JSON.stringify(name)} may not be sent`)
  if (!validFieldValue(value)) throw new TypeError(`the value of header ${name} may not be sent`)
  return name.toLowerCase()
}

// Prints what changed in the conditions of objects, for standalone: one entry for each object whose Ready changed, and
// for each problem of a file that has no object. controller/main.ts hands it every state; it writes lines, nothing else.
import type { FieldPath, Issue } from '../../model/issue.ts'
import { formatPath, REASONS } from '../../model/issue.ts'
import { objectKey, objectLabel, type ObjectRef } from '../../model/resources.ts'
import type { Position, SourceProblem } from '../sources/source.ts'
import type { ObjectStatus } from './conditions.ts'
import { printable, printableJson } from './printable.ts'

export interface ConsoleWriterOptions {
  /** One line, without its line break. */
  readonly write: (line: string) => void
  /** text for people, json (one object a line) where nobody watches. */
  readonly format: 'text' | 'json'
  readonly locate: (object: ObjectRef, path: FieldPath) => Position | undefined
  /** Milliseconds since the epoch, for json. */
  readonly now: () => number
  /** Arranges the texts of an entry and the name of its page as lines. Default: a line for each. */
  readonly layout?: (texts: readonly string[], page: string) => readonly string[]
}

/** What is told of one state. */
export interface ConsoleReport {
  readonly statuses: readonly ObjectStatus[]
  readonly problems: readonly SourceProblem[]
  readonly notes: readonly SourceProblem[]
}

export interface ConsoleWriter {
  report(report: ConsoleReport): void
}

/** What happened to an object or a file, in one word. */
type Event = 'rejected' | 'degraded' | 'warns' | 'pending' | 'serving' | 'removed' | 'unreadable' | 'readable' | 'note'

interface Line {
  readonly event: Event
  readonly position?: Position | undefined
  readonly status?: ObjectStatus
  readonly message?: string
  readonly path?: FieldPath
}

/** Makes a writer that remembers what it has told. The first report tells only what is not well. */
export function createConsoleWriter(options: ConsoleWriterOptions): ConsoleWriter {
  return new ChangeWriter(options)
}

class ChangeWriter implements ConsoleWriter {
  readonly #options: ConsoleWriterOptions
  #told: ReadonlySet<ObjectStatus> = new Set()
  #problems = new Map<string, SourceProblem>()
  #notes = new Map<string, SourceProblem>()
  #first = true

  constructor(options: ConsoleWriterOptions) {
    this.#options = options
  }

  report({ statuses, problems, notes }: ConsoleReport): void {
    this.#reportProblems(problems.filter((problem) => problem.issue === undefined))
    this.#reportNotes(notes)
    const told = new Set(statuses)
    // Whoever makes statuses hands the same value on where nothing changed, so few of many need a look.
    const former = new Map<string, ObjectStatus>()
    for (const status of this.#told) if (!told.has(status)) former.set(objectKey(status.object), status)
    for (const status of statuses) {
      if (this.#told.has(status)) continue
      const key = objectKey(status.object)
      const before = former.get(key)
      former.delete(key)
      if (before === undefined ? this.#first && isWell(status) : saysTheSame(before, status)) continue
      this.#print(this.#lineOf(status))
    }
    for (const status of former.values()) this.#print(this.#goneLine(status))
    this.#told = told
    this.#first = false
  }

  #reportProblems(problems: readonly SourceProblem[]): void {
    const next = new Map(problems.map((problem) => [problemText(problem), problem]))
    const files = new Set(problems.map((problem) => problem.position?.file))
    for (const [text, { position, message }] of next) {
      if (!this.#problems.has(text)) this.#print({ event: 'unreadable', position, message })
    }
    const cleared = new Set<string | undefined>()
    for (const [text, { position }] of this.#problems) {
      if (next.has(text) || files.has(position?.file) || cleared.has(position?.file)) continue
      cleared.add(position?.file)
      this.#print({ event: 'readable', position, message: 'Nothing is wrong with the file any more.' })
    }
    this.#problems = next
  }

  #reportNotes(notes: readonly SourceProblem[]): void {
    const next = new Map(notes.map((note) => [problemText(note), note]))
    for (const [text, { position, message }] of next) {
      if (!this.#notes.has(text)) this.#print({ event: 'note', position, message })
    }
    this.#notes = next
  }

  #lineOf(status: ObjectStatus): Line {
    const path = isWell(status) ? [] : (status.cause?.path ?? [])
    return { event: eventOf(status), position: this.#options.locate(status.object, path), status, path }
  }

  // An object without a form in force that has no issue any more is gone, or was never ours to judge.
  #goneLine(status: ObjectStatus): Line {
    const position = this.#options.locate(status.object, [])
    return { event: position === undefined ? 'removed' : 'serving', position, status: { ...status, cause: undefined } }
  }

  #print(line: Line): void {
    if (this.#options.format === 'json') this.#options.write(jsonLine(line, this.#options.now()))
    else for (const text of textLines(line, this.#options.layout ?? oneEach)) this.#options.write(text)
  }
}

function isWell(status: ObjectStatus): boolean {
  return status.ready.status === 'True' && status.ready.reason === 'Serving'
}

// A word in a message of what is well is no news.
function saysTheSame(a: ObjectStatus, b: ObjectStatus): boolean {
  if (isWell(a) && isWell(b)) return true
  if (a.ready.status !== b.ready.status || a.ready.reason !== b.ready.reason) return false
  return sameItems([a.ready.message, ...otherFaults(a)], [b.ready.message, ...otherFaults(b)])
}

function sameItems(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((item, index) => item === b[index])
}

/** What else is wrong, each with its reason: Ready tells one thing, and its owner would find the next only after it. */
function otherFaults({ conditions, ready }: ObjectStatus): string[] {
  const told = new Set<string>([ready.reason])
  return conditions.flatMap(({ type, status, reason, message }) => {
    if (status !== 'False' || type === 'Programmed' || type === 'Healthy' || told.has(reason)) return []
    if (message === '' || ready.message.includes(message)) return []
    told.add(reason)
    return [`Also ${reason}: ${message}`]
  })
}

function eventOf(status: ObjectStatus): Event {
  if (status.ready.status === 'Unknown') return 'pending'
  if (status.ready.status === 'True') return isWell(status) ? 'serving' : 'warns'
  return status.cause === undefined || status.cause.severity === 'rejects' ? 'rejected' : 'degraded'
}

function placeText(position: Position | undefined): string {
  return position === undefined ? '' : `${position.file}:${position.line}:${position.column}  `
}

function textLines(
  { event, position, status, message, path }: Line,
  layout: NonNullable<ConsoleWriterOptions['layout']>,
): string[] {
  if (status === undefined) return [printable(`${placeText(position)}${event}  ${message ?? ''}`)]
  const told = event === 'rejected' || event === 'degraded' || event === 'warns' || event === 'pending'
  const { reason, message: said } = status.ready
  const head = printable(`${placeText(position)}${objectLabel(status.object)}  ${event}${told ? `  ${reason}` : ''}`)
  if (!told) return [head]
  const where = path === undefined ? '' : formatPath(path)
  const texts = [
    ...(said === '' ? [] : [where === '' || said.includes(where) ? said : `${where}: ${said}`]),
    // A message of two sentences says what to do already.
    ...(/[.!?] /.test(said) ? [] : [fixOf(status.cause, status)]),
    ...otherFaults(status),
  ]
  return [head, ...layout(texts.map(printable), `atrium help ${reason}`).map((line) => `  ${line}`)]
}

function oneEach(texts: readonly string[], page: string): readonly string[] {
  return [...texts, page]
}

function fixOf(cause: Issue | undefined, status: ObjectStatus): string {
  return REASONS[cause?.reason ?? status.ready.reason].fix
}

function jsonLine({ event, position, status, message, path }: Line, now: number): string {
  const text = JSON.stringify({
    time: new Date(now).toISOString(),
    event: `config.${event}`,
    ...(position === undefined ? {} : { file: position.file, line: position.line, column: position.column }),
    ...(status === undefined
      ? {}
      : {
          kind: status.object.kind,
          namespace: status.object.namespace,
          name: status.object.name,
          tenant: status.tenant,
          generation: status.generation,
          ready: event === 'removed' ? undefined : status.ready.status,
          reason: event === 'removed' ? undefined : status.ready.reason,
          path: path === undefined || path.length === 0 ? undefined : formatPath(path),
        }),
    message: message ?? status?.ready.message,
  })
  return printableJson(text)
}

function problemText(problem: SourceProblem): string {
  return JSON.stringify([problem.position, problem.message])
}

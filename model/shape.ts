// Shapes of data that came over a wire: closed, so that a field or a word which this build does not know is found and
// named instead of ignored. Pure. push.ts and push-shard.ts are written in it; schemas that people write are in schema.ts.

/** What is wrong, and where: `routes[2].mirror`, '' for the value itself. The message is a clause without the path. */
export interface ShapeProblem {
  readonly path: string
  readonly message: string
}

/** Looks at a value. `of` carries the type only; nothing ever sets it. */
export interface Shape<Value> {
  (value: unknown): ShapeProblem | undefined
  readonly of?: Value
}

/** The type that a shape stands for. */
export type ValueOf<Each> = Each extends Shape<infer Value> ? Value : never

/** The value in its type, or one sentence that says what is wrong with it. */
export function readShape<Value>(shape: Shape<Value>, value: unknown): { readonly value: Value } | string {
  const problem = shape(value)
  if (problem === undefined) return { value: value as Value }
  return problem.path === '' ? `it ${problem.message}` : `${problem.path} ${problem.message}`
}

/** Text of at most `maxLength` UTF-16 code units that matches. */
export function text(maxLength: number, pattern?: RegExp): Shape<string> {
  return (value) => {
    if (typeof value !== 'string') return here('must be text')
    if (value.length > maxLength) return here(`must be at most ${maxLength} characters long`)
    return pattern === undefined || pattern.test(value) ? undefined : here('has a form that is not known here')
  }
}

/** A whole number. */
export function whole(minimum: number, maximum = Number.MAX_SAFE_INTEGER): Shape<number> {
  return (value) =>
    typeof value === 'number' && Number.isSafeInteger(value) && value >= minimum && value <= maximum
      ? undefined
      : here(`must be a whole number from ${minimum} to ${maximum}`)
}

/** true or false. */
export function flag(): Shape<boolean> {
  return (value) => (typeof value === 'boolean' ? undefined : here('must be true or false'))
}

/** One of these words. */
export function word<const Word extends string>(...words: readonly Word[]): Shape<Word> {
  return (value) =>
    words.some((each) => each === value) ? undefined : here(`is ${describe(value)}, which is not known here`)
}

/** null or the shape. */
export function orNull<Value>(shape: Shape<Value>): Shape<Value | null> {
  return (value) => (value === null ? undefined : shape(value))
}

/** A list of at most `maxItems`. */
export function list<Value>(shape: Shape<Value>, maxItems: number): Shape<readonly Value[]> {
  return (value) => {
    if (!Array.isArray(value)) return here('must be a list')
    if (value.length > maxItems) return here(`must have at most ${maxItems} entries`)
    for (let index = 0; index < value.length; index++) {
      const problem = shape(value[index])
      if (problem !== undefined) return below(`[${index}]`, problem)
    }
    return undefined
  }
}

/** A list of exactly two. */
export function pair<First, Second>(first: Shape<First>, second: Shape<Second>): Shape<readonly [First, Second]> {
  return (value) => {
    if (!Array.isArray(value) || value.length !== 2) return here('must be a pair')
    const left = first(value[0])
    if (left !== undefined) return below('[0]', left)
    const right = second(value[1])
    return right === undefined ? undefined : below('[1]', right)
  }
}

/** Anything. Somebody else looks at it. */
export function anything(): Shape<unknown> {
  return () => undefined
}

type Fields = Readonly<Record<string, Shape<unknown>>>
type Required<Each extends Fields> = { readonly [Name in keyof Each]: ValueOf<Each[Name]> }
type Optional<Each extends Fields> = { readonly [Name in keyof Each]?: ValueOf<Each[Name]> }

/** An object with exactly these fields, and perhaps some of `optional`. */
export function fields<Must extends Fields, May extends Fields = Record<never, never>>(
  must: Must,
  may?: May,
): Shape<Required<Must> & Optional<May>> {
  const shapes = new Map<string, Shape<unknown>>([...Object.entries(may ?? {}), ...Object.entries(must)])
  const names = Object.keys(must)
  return (value) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return here('must be an object')
    const record = value as Record<string, unknown>
    for (const name of names) if (!Object.hasOwn(record, name)) return { path: name, message: 'is missing' }
    for (const name of Object.keys(record)) {
      const shape = shapes.get(name)
      if (shape === undefined) return { path: printable(name), message: 'is not known here' }
      const problem = shape(record[name])
      if (problem !== undefined) return below(name, problem)
    }
    return undefined
  }
}

/** An object whose field `type` says which of these it is. */
export function variant<Variants extends Readonly<Record<string, Fields>>>(
  variants: Variants,
): Shape<{ [Name in keyof Variants]: { readonly type: Name } & Required<Variants[Name]> }[keyof Variants]> {
  const shapes = new Map(
    Object.entries(variants).map(([name, each]) => [name, fields({ ...each, type: text(64) })] as const),
  )
  return (value) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return here('must be an object')
    const { type } = value as { readonly type?: unknown }
    const shape = typeof type === 'string' ? shapes.get(type) : undefined
    if (shape === undefined) return { path: 'type', message: `is ${describe(type)}, which is not known here` }
    return shape(value)
  }
}

function here(message: string): ShapeProblem {
  return { path: '', message }
}

function below(name: string, { path, message }: ShapeProblem): ShapeProblem {
  return { path: path === '' || path.startsWith('[') ? `${name}${path}` : `${name}.${path}`, message }
}

function describe(value: unknown): string {
  return typeof value === 'string' ? `"${printable(value)}"` : value === undefined ? 'missing' : typeof value
}

function printable(text: string): string {
  return text.slice(0, 64).replace(/[^ -~]/g, '?')
}

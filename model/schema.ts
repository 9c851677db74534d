// The only way to write a schema: a thin layer over TypeBox that can express only what a Kubernetes structural
// schema allows. Pure. Static types, validators, CRD YAML, defaults and reference pages all come from these values.
import Type, { type Static, type TSchema } from 'typebox'

/** A rule over several fields: its CEL text for the API server and the same rule as TypeScript, side by side. */
export interface CrossFieldRule {
  /** CEL over `self`, as in https://kubernetes.io/docs/reference/using-api/cel/ */
  readonly cel: string
  /** What the author of the object reads. One sentence. */
  readonly message: string
  /** True when the value obeys the rule. Sees only values that already have the right shape. */
  readonly check: (value: never) => boolean
  /** Examples that a test feeds to both forms. */
  readonly examples: { readonly good: readonly unknown[]; readonly bad: readonly unknown[] }
}

/** What every field may carry beside its type. `description` ends up in the CRD and the reference pages. */
export interface Notes {
  readonly description: string
  readonly rules?: readonly CrossFieldRule[]
  /** Applied in one place (model/defaults.ts), in both modes; shown in the docs. Never written into a CRD. */
  readonly default?: unknown
  readonly example?: unknown
  /** Looks at the whole value once its shape is right; problems carry a path inside the value. Not in the CRD. */
  readonly problems?: (value: never) => readonly ValueProblem[]
}

/** A mistake inside a value. The message is a clause without the path. */
export interface ValueProblem {
  readonly path: readonly (string | number)[]
  readonly message: string
}

interface StringLimits extends Notes {
  readonly minLength?: number
  readonly maxLength: number
  readonly pattern?: string
  readonly format?: 'date-time'
  /** The pattern in words, to follow `must be`: `a DNS label: …`. */
  readonly patternMeans?: string
  /** A grammar that a pattern cannot express well; `decode` runs it after the shape. Returns what is wrong, or nothing. */
  readonly grammar?: (text: string) => string | undefined
}

interface NumberLimits extends Notes {
  readonly minimum: number
  readonly maximum: number
}

interface ListLimits extends Notes {
  readonly minItems?: number
  readonly maxItems: number
  /** `set` for scalars, `map` with the key fields, `atomic` otherwise (server-side apply merges by it). */
  readonly listType: 'atomic' | 'set' | { readonly mapBy: readonly string[] }
}

type Fields = Record<string, TSchema>

/** Text of at most `maxLength` characters. */
export function text(limits: StringLimits) {
  return Type.String({ ...limits })
}

/** One of a closed list of CamelCase words. */
export function oneOf<const Word extends string>(words: readonly Word[], notes: Notes) {
  return Type.Unsafe<Word>({ type: 'string', enum: [...words], ...notes })
}

/** A whole number within bounds. */
export function integer(limits: NumberLimits) {
  return Type.Integer({ ...limits })
}

/** true or false. */
export function flag(notes: Notes) {
  return Type.Boolean({ ...notes })
}

/** A number or its text form (`10Mi`, `8080`, `web`), as Kubernetes writes quantities and ports. The pattern is for text. */
export function integerOrText(limits: Omit<StringLimits, 'minLength'> & Partial<NumberLimits>) {
  return Type.Unsafe<number | string>({
    'x-kubernetes-int-or-string': true,
    anyOf: [{ type: 'integer' }, { type: 'string' }],
    ...limits,
  })
}

/** A bounded list. */
export function list<Item extends TSchema>(item: Item, limits: ListLimits) {
  return Type.Array(item, { ...limits })
}

/** A bounded map from text to one kind of value. */
export function map<Value extends TSchema>(value: Value, limits: Notes & { readonly maxProperties: number }) {
  return Type.Unsafe<Record<string, Static<Value>>>({ type: 'object', additionalProperties: value, ...limits })
}

/** A field that may be left out. */
export function optional<Field extends TSchema>(field: Field) {
  return Type.Optional(field)
}

/** A closed object: unknown fields are refused with their path. */
export function object<Shape extends Fields>(shape: Shape, notes: Notes) {
  return Type.Object(shape, { ...notes })
}

/** An object of which only the listed fields are read (core Kubernetes kinds); the rest is ignored. */
export function openObject<Shape extends Fields>(shape: Shape, notes: Notes) {
  return Type.Object(shape, { ...notes, 'x-kubernetes-preserve-unknown-fields': true })
}

/** A schema as its readers see it (decode, the CRD, the reference pages): every field that the makers above may set. */
export interface SchemaNode extends Partial<StringLimits>, Partial<NumberLimits>, Partial<ListLimits> {
  readonly type?: 'string' | 'integer' | 'boolean' | 'array' | 'object'
  readonly enum?: readonly string[]
  readonly items?: SchemaNode
  readonly properties?: Readonly<Record<string, SchemaNode>>
  readonly required?: readonly string[]
  readonly additionalProperties?: SchemaNode
  readonly maxProperties?: number
  readonly 'x-kubernetes-int-or-string'?: true
  readonly 'x-kubernetes-preserve-unknown-fields'?: true
}

/** The readers' view of a schema. */
export function schemaNode(schema: TSchema): SchemaNode {
  return schema
}

/** The static type of a schema. */
export type Value<Schema extends TSchema> = Static<Schema>
export type { TSchema as Schema } from 'typebox'

// The only way to write a schema: makers that can express only what a Kubernetes structural schema allows. Pure. Static
// types, validators, CRD YAML, defaults and reference pages all come from these values. Our own makers rather than a
// schema library: its builders were all that was used, and reading it was half of the start-up of every command.

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
  /**
   * An object that only the controller writes: the API server takes it as it is. Fields that it is told of it checks and
   * accounts for one by one at every edit of the whole object, whoever makes it.
   */
  readonly opaque?: true
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

/** A schema as its readers see it (decode, the CRD, the reference pages): every field that the makers below may set. */
export interface SchemaNode extends Partial<StringLimits>, Partial<NumberLimits>, Partial<ListLimits> {
  readonly type?: 'string' | 'integer' | 'boolean' | 'array' | 'object'
  readonly enum?: readonly string[]
  readonly anyOf?: readonly SchemaNode[]
  readonly items?: SchemaNode
  readonly properties?: Readonly<Record<string, SchemaNode>>
  readonly required?: readonly string[]
  readonly additionalProperties?: SchemaNode
  readonly maxProperties?: number
  readonly 'x-kubernetes-int-or-string'?: true
  readonly 'x-kubernetes-preserve-unknown-fields'?: true
}

declare const STATIC: unique symbol
/** Tells `object` which fields may be left out. A symbol: it is no part of the schema, and nobody prints it. */
const OPTIONAL = Symbol('optional')

/** A schema of values of the type `Static`, which no value carries: it is there for `Value` alone. */
export interface Schema<Static = unknown> extends SchemaNode {
  readonly [STATIC]?: () => Static
}

/** A field that may be left out. */
export interface OptionalField<Static = unknown> extends Schema<Static> {
  readonly [OPTIONAL]: true
}

/** The static type of a schema. */
export type Value<Of extends Schema> = Of extends Schema<infer Static> ? Static : never

type Fields = Readonly<Record<string, Schema>>
type OptionalName<Shape extends Fields> = {
  [Name in keyof Shape]: Shape[Name] extends OptionalField ? Name : never
}[keyof Shape]
type ObjectValue<Shape extends Fields> = Flat<
  { [Name in Exclude<keyof Shape, OptionalName<Shape>>]: Value<Shape[Name]> } & {
    [Name in OptionalName<Shape>]?: Value<Shape[Name]>
  }
>
type Flat<Type> = { [Name in keyof Type]: Type[Name] }

/** Text of at most `maxLength` characters. */
export function text(limits: StringLimits): Schema<string> {
  return { type: 'string', ...limits }
}

/** One of a closed list of CamelCase words. */
export function oneOf<const Word extends string>(words: readonly Word[], notes: Notes): Schema<Word> {
  return { type: 'string', enum: [...words], ...notes }
}

/** A whole number within bounds. */
export function integer(limits: NumberLimits): Schema<number> {
  return { type: 'integer', ...limits }
}

/** true or false. */
export function flag(notes: Notes): Schema<boolean> {
  return { type: 'boolean', ...notes }
}

/** A number or its text form (`10Mi`, `8080`, `web`), as Kubernetes writes quantities and ports. The pattern is for text. */
export function integerOrText(
  limits: Omit<StringLimits, 'minLength'> & Partial<NumberLimits>,
): Schema<number | string> {
  return { 'x-kubernetes-int-or-string': true, anyOf: [{ type: 'integer' }, { type: 'string' }], ...limits }
}

/** A bounded list. */
export function list<Item extends Schema>(item: Item, limits: ListLimits): Schema<Value<Item>[]> {
  return { type: 'array', items: item, ...limits }
}

/** A bounded map from text to one kind of value. */
export function map<Of extends Schema>(
  value: Of,
  limits: Notes & { readonly maxProperties: number },
): Schema<Record<string, Value<Of>>> {
  return { type: 'object', additionalProperties: value, ...limits }
}

/** Makes a field one that may be left out. */
export function optional<Static>(field: Schema<Static>): OptionalField<Static> {
  return { ...field, [OPTIONAL]: true }
}

/** A closed object: unknown fields are refused with their path. */
export function object<Shape extends Fields>(shape: Shape, notes: Notes): Schema<ObjectValue<Shape>> {
  const required = Object.keys(shape).filter((name) => !isOptional(shape[name]))
  return { type: 'object', ...(required.length === 0 ? {} : { required }), properties: shape, ...notes }
}

/** An object of which only the listed fields are read (core Kubernetes kinds); the rest is ignored. */
export function openObject<Shape extends Fields>(shape: Shape, notes: Notes): Schema<ObjectValue<Shape>> {
  return { ...object(shape, notes), 'x-kubernetes-preserve-unknown-fields': true }
}

/** The readers' view of a schema. */
export function schemaNode(schema: Schema): SchemaNode {
  return schema
}

function isOptional(schema: Schema | undefined): boolean {
  return schema !== undefined && OPTIONAL in schema
}

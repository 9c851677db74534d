// Everything generated under charts/atrium from values.yaml and the CRDs: values.schema.json, the table of values in
// README.md, the defaults for templates, and the CRDs as the chart installs them. Part of generate.ts.
import { isMap, isScalar, type Pair, parseDocument, stringify, type YAMLMap } from 'yaml'
import { code, PAGE_HEADER, table } from './markdown.ts'

/** One value that a user may set, from the comment above it. */
interface ChartValue {
  /** `dataplane.service.type`. */
  readonly path: string
  readonly description: string
  readonly default: unknown
}

type JsonSchema = Readonly<Record<string, unknown>>

const SCHEMA_TAG = '@schema '
/** Shapes that several values share; a tag names them by reference. */
const SHARED: Readonly<Record<string, JsonSchema>> = {
  texts: { type: 'object', additionalProperties: { type: 'string' } },
  cidrs: {
    type: 'array',
    maxItems: 512,
    uniqueItems: true,
    items: { type: 'string', pattern: '^[0-9A-Fa-f.:]+/[0-9]{1,3}$' },
  },
  resources: {
    type: 'object',
    additionalProperties: false,
    properties: Object.fromEntries(
      ['requests', 'limits'].map((each) => [
        each,
        {
          type: 'object',
          additionalProperties: { type: ['string', 'integer', 'number'], pattern: '^[0-9]+(\\.[0-9]+)?[A-Za-z]{0,2}$' },
        },
      ]),
    ),
  },
}

/** Paths and texts. `valuesText` is charts/atrium/values.yaml. */
export function chartFiles(valuesText: string, crds: readonly (readonly [string, string])[]): [string, string][] {
  return [
    ['charts/atrium/values.schema.json', `${JSON.stringify(valuesSchema(valuesText), null, 2)}\n`],
    ['charts/atrium/README.md', readme(chartValues(valuesText))],
    ['charts/atrium/files/defaults.yaml', defaults(chartValues(valuesText))],
    ...crds.map(([path, text]): [string, string] => [`charts/atrium/files/${path}`, kept(text)]),
  ]
}

/** The values of the chart, in order. Throws where one has no comment. */
function chartValues(valuesText: string): readonly ChartValue[] {
  return leavesOf(readMap(valuesText), [])
}

/** JSON schema that allows what values.yaml names and nothing else. The root allows what an umbrella chart hands down. */
function valuesSchema(valuesText: string): JsonSchema {
  const { properties, ...rest } = objectSchema(readMap(valuesText), [])
  return {
    $schema: 'http://json-schema.org/draft-07/schema#',
    title: 'Values of the Atrium chart',
    ...rest,
    properties: {
      ...(properties as object),
      global: { description: 'Of the umbrella chart; not used here.', type: 'object' },
      enabled: { description: 'Of the umbrella chart; not used here.', type: 'boolean' },
    },
    $defs: SHARED,
  }
}

function objectSchema(map: YAMLMap, path: readonly string[]): JsonSchema {
  const properties = map.items.map((pair) => {
    const name = keyOf(pair)
    const at = [...path, name]
    if (isGroup(map, pair, at)) return [name, objectSchema(pair.value, at)]
    const { description, tags } = commentOf(map, pair, at)
    return [name, { description, ...inferred(plain(pair), tags), ...tags }]
  })
  return { type: 'object', additionalProperties: false, properties: Object.fromEntries(properties) }
}

/** What the default alone says. A tag that says the same wins. */
function inferred(value: unknown, tags: JsonSchema): JsonSchema {
  if ('$ref' in tags) return {}
  if (Array.isArray(value)) return { type: 'array', items: { type: 'string' }, maxItems: 256 }
  if (typeof value === 'number') return { type: 'integer' }
  if (typeof value === 'object' && value !== null) return { type: 'object', additionalProperties: false }
  return { type: typeof value }
}

function leavesOf(map: YAMLMap, path: readonly string[]): readonly ChartValue[] {
  return map.items.flatMap((pair): readonly ChartValue[] => {
    const at = [...path, keyOf(pair)]
    if (isGroup(map, pair, at)) return leavesOf(pair.value, at)
    const { description } = commentOf(map, pair, at)
    return [{ path: at.join('.'), description, default: plain(pair) }]
  })
}

/** A map without a comment of its own is a group of values; one with a comment is a value as a whole. */
function isGroup(
  map: YAMLMap,
  pair: Pair,
  path: readonly string[],
): pair is Pair<unknown, YAMLMap> & { value: YAMLMap } {
  return isMap(pair.value) && pair.value.flow !== true && ownComment(map, pair, path) === ''
}

/** The comment above a key. That of the first key of a map stands at the map itself. */
function ownComment(map: YAMLMap, pair: Pair, path: readonly string[]): string {
  if (map.items[0] === pair && path.length > 1) return map.commentBefore ?? ''
  return isScalar(pair.key) ? (pair.key.commentBefore ?? '') : ''
}

/** Sentences and `@schema` tags above a key. */
function commentOf(map: YAMLMap, pair: Pair, path: readonly string[]): { description: string; tags: JsonSchema } {
  const lines = ownComment(map, pair, path)
    .split('\n')
    .map((line) => line.trim())
  const description = lines.filter((line) => line !== '' && !line.startsWith(SCHEMA_TAG)).join(' ')
  if (description === '') throw new Error(`charts/atrium/values.yaml: ${path.join('.')} has no comment`)
  const tags: unknown[] = lines
    .filter((line) => line.startsWith(SCHEMA_TAG))
    .map((line) => JSON.parse(line.slice(SCHEMA_TAG.length)))
  return { description, tags: Object.assign({}, ...tags) as JsonSchema }
}

function readMap(text: string): YAMLMap {
  const { contents } = parseDocument(text)
  if (!isMap(contents)) throw new Error('charts/atrium/values.yaml is no map')
  return contents
}

function keyOf(pair: Pair): string {
  return isScalar(pair.key) ? String(pair.key.value) : String(pair.key)
}

function plain(pair: Pair): unknown {
  const { value } = pair as Pair<unknown, { toJSON(): unknown } | null>
  return value === null ? null : value.toJSON()
}

/**
 * Defaults by path. `helm upgrade --reuse-values` hands templates the values of the release before, without what the chart
 * has got since: atrium.defaults of _helpers.tpl fills that in.
 */
function defaults(values: readonly ChartValue[]): string {
  const entries = Object.fromEntries(values.map(({ path, default: value }) => [path, value]))
  return `# Generated from values.yaml by \`npm run generate\`; do not edit.\n${stringify(entries, { lineWidth: 0 })}`
}

/** The same CRD with the annotation that keeps it, and every object of its kind, when the release goes. */
function kept(crd: string): string {
  const marked = crd.replace(/^metadata:\n/m, 'metadata:\n  annotations:\n    helm.sh/resource-policy: keep\n')
  if (marked === crd || /^ {2}annotations:\n(?! {4}helm)/m.test(marked)) throw new Error('a CRD with other metadata')
  return marked
}

function readme(values: readonly ChartValue[]): string {
  return `${PAGE_HEADER}# The Atrium chart

    helm install atrium charts/atrium -n atrium-system --create-namespace
    kubectl apply -f examples/hello.yaml
    kubectl wait route/hello -n acme --for=condition=Ready --timeout=30s

Two Deployments (controller, dataplane), three Services (clients, controllers among themselves, the controller's API), the
CRDs, and what fences them in: roles, admission policies, NetworkPolicies, budgets. No hooks, no webhooks, nothing random: two
renders are the same bytes. The controller makes the release's certificate authority itself; dataplane pods wait for it. It is replaced by age, or when you
annotate its Secret: [the authority of the release](../../docs/cluster.md#the-authority-of-the-release).

CRDs are upgraded with the chart and stay, with every object of theirs, when it is uninstalled. The pods run under the
restricted profile of Pod Security. The dataplane has no rights at the API server at all.

One release in a cluster: the ClusterRoles \`atrium-reads-secrets\`, \`atrium-view\`, \`atrium-edit\` and \`atrium-platform\` have
fixed names, and Helm refuses a second owner.

## Values

What is not listed is refused.

${table(
  ['value', 'default', 'what it does'],
  values.map((value) => [code(value.path), code(JSON.stringify(value.default)), value.description]),
).trimEnd()}
`
}

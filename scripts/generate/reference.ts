// docs/reference/<kind>.md: every field of a kind with its type, bounds, default and meaning. Part of generate.ts.
import { stringify } from 'yaml'
import { API_GROUP, API_VERSION, type CustomKind } from '../../model/custom-kinds.ts'
import { type SchemaNode, schemaNode } from '../../model/schema.ts'
import { EXAMPLES } from './examples.ts'
import { code, PAGE_HEADER, table } from './markdown.ts'

/** Paths and texts. */
export function referenceFiles(kinds: readonly CustomKind[]): readonly (readonly [string, string])[] {
  return [
    ['docs/reference/README.md', index(kinds)],
    ...kinds.map((kind) => [`docs/reference/${kind.singular}.md`, page(kind)] as const),
  ]
}

function index(kinds: readonly CustomKind[]): string {
  const rows = kinds.map((kind) => [
    `[${kind.kind}](${kind.singular}.md)`,
    kind.scope === 'Cluster' ? 'cluster' : 'namespace',
    code(kind.shortName),
    kind.description,
    `[schema](schema/${kind.singular}.json)`,
  ])
  return [
    `${PAGE_HEADER}# Reference`,
    `Atrium’s kinds are in the group ${code(API_GROUP)}, version ${code(API_VERSION)}. A field that is not listed is refused with its path.`,
    table(['kind', 'scope', 'short name', 'what it says', 'for editors'], rows).trimEnd(),
    'The [command line](cli.md): verbs, flags, exit codes.',
    'Words that Atrium says about an object or answers to a request: [reasons and errors](../errors/README.md).',
    `An editor with the YAML language server completes and checks a file that begins with this line (the path is relative to the file):\n\n${fence('yaml', '# yaml-language-server: $schema=docs/reference/schema/route.json\n')}`,
  ].join('\n\n')
}

function page(kind: CustomKind): string {
  const parts = [
    `${PAGE_HEADER}# ${kind.kind}`,
    kind.description,
    `${code(`apiVersion: ${API_GROUP}/${API_VERSION}`)}, ${kind.scope === 'Cluster' ? 'without a namespace' : 'in a namespace'}; ${code(`kubectl get ${kind.shortName}`)}.`,
    fence('yaml', stringify(EXAMPLES[kind.kind], { lineWidth: 100 })),
    ...sections('spec', schemaNode(kind.spec)),
    '## Status',
    'Written by the controller.',
    ...sections('status', schemaNode(kind.status)),
    '## Columns of `kubectl get`',
    table(
      ['column', 'shown', 'meaning'],
      kind.columns.map((column) => [
        column.name.toUpperCase(),
        column.wide === true ? 'with `-o wide`' : 'always',
        column.description,
      ]),
    ),
  ]
  return parts.join('\n\n')
}

/** A section for this object and one for each object below it. */
function sections(path: string, node: SchemaNode): readonly string[] {
  const below: string[] = []
  const rows = Object.entries(node.properties ?? {}).map(([name, field]) => {
    const required = node.required?.includes(name) === true
    const inner = innerObject(`${path}.${name}`, field)
    if (inner !== undefined) below.push(...sections(...inner))
    return [code(name), typeWords(field), required ? 'required' : defaultWords(field), meaning(field)]
  })
  const own: string[] = []
  if (rows.length > 0) {
    own.push(`## ${code(path)}`, node.description ?? '')
    own.push(table(['field', 'type', 'default', 'meaning'], rows).trimEnd())
  }
  const rules = (node.rules ?? []).map((rule) => `- ${rule.message}`)
  if (rules.length > 0 && rows.length > 0) own.push(`Rules:\n\n${rules.join('\n')}`)
  return [...own, ...below]
}

/** The object with fields that a field leads to, through lists and maps, and its path. */
function innerObject(path: string, node: SchemaNode): readonly [string, SchemaNode] | undefined {
  if (node.properties !== undefined) return Object.keys(node.properties).length === 0 ? undefined : [path, node]
  if (node.items !== undefined) return innerObject(`${path}[]`, node.items)
  if (node.additionalProperties !== undefined) return innerObject(`${path}.*`, node.additionalProperties)
  return undefined
}

function typeWords(node: SchemaNode): string {
  if (node.enum !== undefined) return node.enum.map((word) => code(word === '' ? '""' : word)).join(', ')
  if (node['x-kubernetes-int-or-string'] === true) return shortMeaning(node, 'whole number or text')
  switch (node.type) {
    case 'integer':
      return `whole number, ${node.minimum} to ${node.maximum}`
    case 'boolean':
      return '`true` or `false`'
    case 'array':
      return listWords(node)
    case 'string':
      return `${shortMeaning(node, 'text')} (≤ ${node.maxLength})`
    default:
      return node.additionalProperties === undefined
        ? 'object'
        : `map from text to ${typeWords(node.additionalProperties)} (≤ ${node.maxProperties})`
  }
}

/** The pattern in a few words; its grammar stands in the message that refuses a value. */
function shortMeaning(node: SchemaNode, otherwise: string): string {
  return (node.patternMeans ?? otherwise).replace(/(:|,| such as| or the name).*$/, '').replace(/^an? |^the /, '')
}

function listWords(node: SchemaNode): string {
  const least = node.minItems === undefined ? '≤ ' : `${node.minItems} to `
  const items =
    node.items === undefined ? '' : node.items.properties === undefined ? ` of ${typeWords(node.items)}` : ' of objects'
  const unique =
    node.listType === 'set'
      ? '; each once'
      : typeof node.listType === 'object'
        ? `; one for each ${node.listType.mapBy.join(' and ')}`
        : ''
  return `list (${least}${node.maxItems}${unique})${items}`
}

function defaultWords(node: SchemaNode): string {
  if (node.default === undefined) return ''
  return typeof node.default === 'object' && !Array.isArray(node.default)
    ? ''
    : code(
        node.default === ''
          ? '""'
          : Array.isArray(node.default)
            ? `[${node.default.join(', ')}]`
            : String(node.default),
      )
}

/** Description, and the rules of fields that have no section of their own. */
function meaning(node: SchemaNode): string {
  const { description = '', example } = node
  const hasSection = innerObject('', node) !== undefined && node.properties !== undefined
  const rules = hasSection
    ? []
    : [...(node.rules ?? []), ...(node.items?.properties === undefined ? (node.items?.rules ?? []) : [])]
  const ruleWords = rules.length === 0 ? '' : ` Rules: ${rules.map((rule) => rule.message).join('; ')}.`
  const exampleWords = example === undefined ? '' : ` Example: ${code(JSON.stringify(example))}.`
  return description + ruleWords + exampleWords
}

function fence(language: string, text: string): string {
  return `\`\`\`${language}\n${text}\`\`\``
}

// docs/reference/schema/<kind>.json: plain JSON Schema (2020-12), for completion in editors. Part of generate.ts.
import { API_GROUP, API_VERSION, type CustomKind } from '../../model/custom-kinds.ts'
import { describeWithDefault } from '../../model/crd.ts'
import { type SchemaNode, schemaNode } from '../../model/schema.ts'

type JsonSchema = Readonly<Record<string, unknown>>

/** Path and text. */
export function editorSchemaFile(kind: CustomKind): readonly [string, string] {
  const schema = {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: kind.kind,
    description: kind.description,
    type: 'object',
    required: ['apiVersion', 'kind', 'metadata', 'spec'],
    properties: {
      apiVersion: { const: `${API_GROUP}/${API_VERSION}` },
      kind: { const: kind.kind },
      metadata: { type: 'object', required: ['name'] },
      spec: jsonSchema(schemaNode(kind.spec)),
      status: { type: 'object' },
    },
    additionalProperties: false,
  }
  return [`docs/reference/schema/${kind.singular}.json`, `${JSON.stringify(schema, null, 2)}\n`]
}

function jsonSchema(node: SchemaNode): JsonSchema {
  const { minLength, maxLength, pattern, minimum, maximum, minItems, maxItems, maxProperties } = node
  const limits = { minLength, maxLength, pattern, minimum, maximum, minItems, maxItems, maxProperties }
  return {
    description: describeWithDefault(node),
    ...shapeOf(node),
    ...limits,
    default: node.default,
    examples: node.example === undefined ? undefined : [node.example],
  }
}

function shapeOf(node: SchemaNode): JsonSchema {
  if (node['x-kubernetes-int-or-string'] === true) return { type: ['integer', 'string'] }
  if (node.enum !== undefined) return { enum: node.enum }
  if (node.items !== undefined) return { type: 'array', items: jsonSchema(node.items), uniqueItems: isSet(node) }
  if (node.type !== 'object') return { type: node.type }
  if (node.additionalProperties !== undefined) {
    return { type: 'object', additionalProperties: jsonSchema(node.additionalProperties) }
  }
  const fields = Object.entries(node.properties ?? {}).map(([name, field]) => [name, jsonSchema(field)])
  return {
    type: 'object',
    required: node.required,
    properties: Object.fromEntries(fields),
    additionalProperties: false,
  }
}

function isSet(node: SchemaNode): true | undefined {
  return node.listType === 'set' ? true : undefined
}

// From a kind to its CustomResourceDefinition (apiextensions.k8s.io/v1), as plain data. Pure. scripts/generate.ts writes
// it as YAML. The schema is structural: https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/
import { API_GROUP, API_VERSION, type CustomKind } from './custom-kinds.ts'
import { type SchemaNode, schemaNode } from './schema.ts'

/** A node of a structural schema, ready to be printed. */
type StructuralSchema = Readonly<Record<string, unknown>>

/** The CRD of a kind. */
export function customResourceDefinition(kind: CustomKind): Readonly<Record<string, unknown>> {
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${kind.plural}.${API_GROUP}` },
    spec: {
      group: API_GROUP,
      names: {
        categories: ['atrium'],
        kind: kind.kind,
        listKind: `${kind.kind}List`,
        plural: kind.plural,
        shortNames: [kind.shortName],
        singular: kind.singular,
      },
      scope: kind.scope,
      versions: [
        {
          name: API_VERSION,
          served: true,
          storage: true,
          subresources: { status: {} },
          additionalPrinterColumns: kind.columns.map(({ wide, ...column }) =>
            wide === true ? { ...column, priority: 1 } : column,
          ),
          schema: {
            openAPIV3Schema: {
              description: kind.description,
              type: 'object',
              required: ['spec'],
              properties: {
                apiVersion: { type: 'string', description: 'Version of the schema of this object.' },
                kind: { type: 'string', description: `Always ${kind.kind}.` },
                metadata: { type: 'object' },
                spec: structuralSchema(schemaNode(kind.spec)),
                status: {
                  ...structuralSchema(schemaNode(kind.status)),
                  // The only default that the API server applies: everything else is filled in by compile, so that
                  // what a repository holds and what the cluster holds stay equal.
                  default: schemaNode(kind.status).default,
                },
              },
            },
          },
        },
      ],
    },
  }
}

/** A schema as Kubernetes wants it: a type on every node, bounds, list types, validation rules; no default. */
function structuralSchema(node: SchemaNode): StructuralSchema {
  return { description: describeForCluster(node), ...shapeOf(node), ...validationsOf(node) }
}

/** `kubectl explain` shows nothing of an opaque object but its description. */
function describeForCluster(node: SchemaNode): string {
  const described = describeWithDefault(node)
  return node.opaque === true ? `${described} Fields: ${fieldsOf(node)}.` : described
}

/** The names of all fields of an object, those of inner objects in parentheses. */
function fieldsOf({ properties = {} }: SchemaNode): string {
  const names = Object.entries(properties).map(([name, field]) => {
    const inner = field.items ?? field
    return inner.properties === undefined ? name : `${name} (${fieldsOf(inner)})`
  })
  return names.join(', ')
}

/** The description, with the default that compile fills in. */
export function describeWithDefault(node: SchemaNode): string {
  const { description = '' } = node
  if (node.default === undefined || typeof node.default === 'object' || description.includes('Default:')) {
    return description
  }
  return `${description} Default: ${node.default === '' ? '""' : String(node.default)}.`
}

function shapeOf(node: SchemaNode): StructuralSchema {
  const { minLength, maxLength, pattern, format, minimum, maximum } = node
  if (node['x-kubernetes-int-or-string'] === true) {
    return present({
      'x-kubernetes-int-or-string': true,
      anyOf: [{ type: 'integer' }, { type: 'string' }],
      minimum,
      maximum,
      maxLength,
      pattern,
    })
  }
  switch (node.type) {
    case 'string':
      return present({ type: 'string', enum: node.enum, minLength, maxLength, pattern, format })
    case 'integer':
      return present({ type: 'integer', format: 'int64', minimum, maximum })
    case 'boolean':
      return { type: 'boolean' }
    case 'array':
      return listOf(node)
    default:
      return objectOf(node)
  }
}

function listOf(node: SchemaNode): StructuralSchema {
  const { items, minItems, maxItems, listType = 'atomic' } = node
  return present({
    type: 'array',
    minItems,
    maxItems,
    'x-kubernetes-list-type': typeof listType === 'string' ? listType : 'map',
    'x-kubernetes-list-map-keys': typeof listType === 'string' ? undefined : listType.mapBy,
    items: items === undefined ? undefined : structuralSchema(items),
  })
}

function objectOf(node: SchemaNode): StructuralSchema {
  const { additionalProperties, maxProperties, properties, required, opaque = false } = node
  if (opaque) {
    return { type: 'object', 'x-kubernetes-map-type': 'atomic', 'x-kubernetes-preserve-unknown-fields': true }
  }
  if (additionalProperties !== undefined) {
    return present({ type: 'object', maxProperties, additionalProperties: structuralSchema(additionalProperties) })
  }
  const fields = Object.entries(properties ?? {}).map(([name, field]) => [name, structuralSchema(field)] as const)
  return present({
    type: 'object',
    required,
    properties: fields.length === 0 ? undefined : Object.fromEntries(fields),
  })
}

function validationsOf(node: SchemaNode): StructuralSchema {
  if (node.rules === undefined || node.rules.length === 0) return {}
  return { 'x-kubernetes-validations': node.rules.map(({ cel, message }) => ({ rule: cel, message })) }
}

function present(fields: Readonly<Record<string, unknown>>): StructuralSchema {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined))
}

// Which Tenants a namespace may belong to, from their specs as they were written. Pure. The barrier asks it whom to read
// before a Route is released; who really owns the namespace, compile judges.
import type { SourceObject } from '../../../model/resources.ts'
import { isRecord, listIn, type RawRecord, recordIn, textIn } from './raw.ts'

/** Names of the Tenants that name or select the namespace, given its labels. */
export function tenantsOf(
  namespace: string,
  labels: Readonly<Record<string, string>>,
  tenants: Iterable<SourceObject>,
): readonly string[] {
  const names: string[] = []
  for (const tenant of tenants) {
    const spec = recordIn(tenant.body, 'spec')
    if (listIn(spec, 'namespaces').includes(namespace) || selects(recordIn(spec, 'namespaceSelector'), labels)) {
      names.push(tenant.metadata.name)
    }
  }
  return names
}

function selects(selector: RawRecord, labels: Readonly<Record<string, string>>): boolean {
  const exact = Object.entries(recordIn(selector, 'matchLabels'))
  const expressions = listIn(selector, 'matchExpressions')
  if (exact.length === 0 && expressions.length === 0) return false
  return exact.every(([key, value]) => labels[key] === value) && expressions.every((each) => holds(each, labels))
}

function holds(expression: unknown, labels: Readonly<Record<string, string>>): boolean {
  if (!isRecord(expression)) return false
  const value = labels[textIn(expression, 'key')]
  const values = listIn(expression, 'values')
  switch (expression['operator']) {
    case 'In':
      return value !== undefined && values.includes(value)
    case 'NotIn':
      return value === undefined || !values.includes(value)
    case 'Exists':
      return value !== undefined
    case 'DoesNotExist':
      return value === undefined
    default:
      return false
  }
}

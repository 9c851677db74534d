// Ready-made strings for tables: printer columns can neither join two fields nor shorten a list. Pure.
// The status writers put them into `status.summary`; the command line prints them.
import type { SourceObject } from '../../model/resources.ts'

/** `status.summary` of an object of Atrium; fields that its kind has not are absent. */
export interface Summary {
  /** Route and Tenant: `shop.acme.example.com +2`. */
  readonly hosts?: string
  /** Tenant: `acme-prod +1`. */
  readonly namespaces?: string
  /** Policy: `Route/shop:api +1`, or `all Routes`. */
  readonly targets?: string
  /** Policy: `access,rateLimits`. */
  readonly bodies?: string
}

const MAX_LENGTH = 256
const POLICY_FIELDS: ReadonlySet<string> = new Set(['targetRefs'])

/** The summary of an object as it was written: nothing in it is believed to have its right shape. */
export function summarise(object: SourceObject): Summary {
  const spec = field(object.body, 'spec')
  if (object.kind === 'Route') return { hosts: shorten(texts(field(spec, 'hostnames'))) }
  if (object.kind === 'Tenant') {
    return { hosts: shorten(texts(field(spec, 'hostnames'))), namespaces: shorten(texts(field(spec, 'namespaces'))) }
  }
  if (object.kind !== 'Policy') return {}
  const targets = list(field(spec, 'targetRefs')).map(targetText)
  const bodies =
    typeof spec === 'object' && spec !== null ? Object.keys(spec).filter((name) => !POLICY_FIELDS.has(name)) : []
  return {
    targets: targets.length === 0 ? 'all Routes' : shorten(targets),
    bodies: cut(bodies.sort().join(',') || '-'),
  }
}

function targetText(target: unknown): string {
  const section = field(target, 'sectionName')
  return `${String(field(target, 'kind'))}/${String(field(target, 'name'))}${section === undefined ? '' : `:${String(section)}`}`
}

/** `first +n`, or `-` for none. */
function shorten(items: readonly string[]): string {
  const [first, ...rest] = items
  if (first === undefined) return '-'
  return cut(rest.length === 0 ? first : `${first} +${rest.length}`)
}

function cut(text: string): string {
  return text.length > MAX_LENGTH ? `${text.slice(0, MAX_LENGTH - 1)}…` : text
}

function texts(value: unknown): readonly string[] {
  return list(value).filter((item) => typeof item === 'string')
}

function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : []
}

function field(value: unknown, name: string): unknown {
  if (typeof value !== 'object' || value === null) return undefined
  return Object.entries(value).find(([key]) => key === name)?.[1]
}

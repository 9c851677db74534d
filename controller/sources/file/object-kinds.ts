// Which kinds the file source takes, by apiVersion and kind, and what becomes of the others. Pure data and rules.
// read-object asks it once for each document.
import { KINDS, type Kind } from '../../../model/resources.ts'
import { quote } from './describe-value.ts'

const VERSIONS: Readonly<Record<Kind, readonly string[]>> = {
  Tenant: ['atrium.dev/v1alpha1'],
  Route: ['atrium.dev/v1alpha1'],
  Policy: ['atrium.dev/v1alpha1'],
  Service: ['v1'],
  EndpointSlice: ['discovery.k8s.io/v1'],
  Pod: ['v1'],
  Secret: ['v1'],
  ConfigMap: ['v1'],
  Namespace: ['v1'],
  ReferenceGrant: ['gateway.networking.k8s.io/v1', 'gateway.networking.k8s.io/v1beta1'],
}

// Kinds of well-known projects that share a word with ours: theirs, so no mistake.
const FOREIGN: ReadonlyMap<string, readonly Kind[]> = new Map([
  ['route.openshift.io', ['Route']],
  ['serving.knative.dev', ['Route', 'Service']],
])

const KIND_NAMES: ReadonlyMap<string, Kind> = new Map(KINDS.map((kind) => [kind.toLowerCase(), kind]))

/** What a document is: one of ours, a list of documents, somebody else's, or a mistake. */
export type Recognised =
  | { readonly what: 'object'; readonly kind: Kind }
  | { readonly what: 'list' }
  | { readonly what: 'foreign' }
  | { readonly what: 'mistake'; readonly field: 'apiVersion' | 'kind'; readonly message: string }

/** Tells what `apiVersion` and `kind` mean to Atrium. */
export function recognise(apiVersion: string, kind: string): Recognised {
  const group = apiVersion.includes('/') ? apiVersion.slice(0, apiVersion.indexOf('/')) : ''
  const known = KIND_NAMES.get(kind.toLowerCase())
  if (known === undefined) {
    if (kind.endsWith('List') && (kind === 'List' || KIND_NAMES.has(kind.slice(0, -4).toLowerCase()))) {
      return { what: 'list' }
    }
    if (group === 'atrium.dev') {
      return {
        what: 'mistake',
        field: 'kind',
        message: `atrium.dev has no kind ${quote(kind)}; it has Tenant, Route and Policy`,
      }
    }
    return { what: 'foreign' }
  }
  if (FOREIGN.get(group)?.includes(known) === true) return { what: 'foreign' }
  if (known !== kind) {
    return { what: 'mistake', field: 'kind', message: `kind ${quote(kind)} is written ${known}` }
  }
  if (!VERSIONS[known].includes(apiVersion)) {
    const right = VERSIONS[known].join(' or ')
    return {
      what: 'mistake',
      field: 'apiVersion',
      message: `a ${known} has apiVersion ${right}, not ${quote(apiVersion)}`,
    }
  }
  return { what: 'object', kind: known }
}

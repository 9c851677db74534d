// Which Secrets and ConfigMaps are referred to, from the specs of Tenants and Routes as they were written. Pure.
// Decides only what is worth reading; whether a reference may be used, compile judges. source.ts watches what comes out.
import type { Kind, Partition, SourceObject } from '../../../model/resources.ts'
import { isRecord, listIn, recordIn, textIn } from './raw.ts'

/** Names by kind in one namespace. */
export interface MaterialNames {
  readonly secrets: ReadonlySet<string>
  readonly configMaps: ReadonlySet<string>
}

/** A reference to material, with who refers. */
export interface MaterialRef {
  readonly from: 'Tenant' | 'Route'
  readonly fromNamespace: string
  readonly kind: 'Secret' | 'ConfigMap'
  readonly namespace: string
  readonly name: string
}

/** The references of one Tenant or Route. */
export function materialRefs(object: SourceObject): readonly MaterialRef[] {
  if (object.kind !== 'Tenant' && object.kind !== 'Route') return []
  const tls = recordIn(recordIn(object.body, 'spec'), 'tls')
  const certificates = listIn(tls, 'certificateRefs')
  const authorities = listIn(recordIn(tls, 'clientValidation'), 'caCertificateRefs')
  const from = object.kind
  const fromNamespace = object.metadata.namespace
  const refs: MaterialRef[] = []
  const add = (ref: unknown, defaultKind: 'Secret' | 'ConfigMap') => {
    if (!isRecord(ref)) return
    const name = textIn(ref, 'name')
    const namespace = textIn(ref, 'namespace') || fromNamespace
    const kind = ref['kind'] === undefined ? defaultKind : ref['kind']
    if (name === '' || namespace === '' || (kind !== 'Secret' && kind !== 'ConfigMap')) return
    refs.push({ from, fromNamespace, kind, namespace, name })
  }
  for (const ref of certificates) add(ref, 'Secret')
  if (from === 'Route') for (const ref of authorities) add(ref, 'ConfigMap')
  return refs
}

/** Whether an edit of a Tenant, Route, Namespace or ReferenceGrant can change what `findReferences` finds. */
export function refersElsewhere(
  kind: Kind,
  before: SourceObject | undefined,
  after: SourceObject | undefined,
): boolean {
  // Of a Namespace only whether it is there counts; labels come and go by the thousand.
  if (kind === 'Namespace') return (before === undefined) !== (after === undefined)
  if (kind === 'ReferenceGrant') return true
  const refs = (object: SourceObject | undefined) => (object === undefined ? [] : materialRefs(object))
  return JSON.stringify(refs(before)) !== JSON.stringify(refs(after))
}

/** The references of all Tenants and Routes of a partition. */
export function partitionRefs(partition: Partition): readonly MaterialRef[] {
  const refs: MaterialRef[] = []
  for (const kind of ['Tenant', 'Route'] as const) {
    for (const object of partition.objects.get(kind)?.values() ?? []) refs.push(...materialRefs(object))
  }
  return refs
}

/**
 * All names worth reading, by namespace. A namespace that does not exist is left out, and so is another namespace than
 * the Route's own where no grant there permits it: nobody makes the controller ask for rights wherever they like. A
 * Tenant is written by the platform, so its references are read as they are. `refsOf` may remember by identity.
 */
export function findReferences(
  partitions: ReadonlyMap<string, Partition>,
  refsOf: (partition: Partition) => readonly MaterialRef[] = partitionRefs,
): ReadonlyMap<string, MaterialNames> {
  const found = new Map<string, { secrets: Set<string>; configMaps: Set<string> }>()
  const known = partitions.get('')?.objects.get('Namespace')
  for (const partition of partitions.values()) {
    for (const ref of refsOf(partition)) {
      if (known?.has(ref.namespace) !== true || !mayRead(ref, partitions)) continue
      let names = found.get(ref.namespace)
      if (names === undefined) {
        names = { secrets: new Set(), configMaps: new Set() }
        found.set(ref.namespace, names)
      }
      names[ref.kind === 'Secret' ? 'secrets' : 'configMaps'].add(ref.name)
    }
  }
  return found
}

function mayRead(ref: MaterialRef, partitions: ReadonlyMap<string, Partition>): boolean {
  if (ref.from === 'Tenant' || ref.namespace === ref.fromNamespace) return true
  for (const grant of partitions.get(ref.namespace)?.objects.get('ReferenceGrant')?.values() ?? []) {
    const spec = recordIn(grant.body, 'spec')
    const from = listIn(spec, 'from').some(
      (each) =>
        isRecord(each) &&
        each['group'] === 'atrium.dev' &&
        each['kind'] === 'Route' &&
        each['namespace'] === ref.fromNamespace,
    )
    const to = listIn(spec, 'to').some(
      (each) =>
        isRecord(each) &&
        each['group'] === '' &&
        each['kind'] === ref.kind &&
        (each['name'] === undefined || each['name'] === ref.name),
    )
    if (from && to) return true
  }
  return false
}

// What a source yields: a frozen bag of objects, partitioned by namespace. Pure data, no client, no callbacks.
// Sources build it (controller/sources), compile reads it. A source judges nothing: `spec` is whatever was written.
import type { Hidden } from './hidden.ts'

/** Atrium's own kinds and the core kinds it reads. */
export const KINDS = [
  'Tenant',
  'Route',
  'Policy',
  'Service',
  'EndpointSlice',
  'Pod',
  'Secret',
  'ConfigMap',
  'Namespace',
  'ReferenceGrant',
] as const
export type Kind = (typeof KINDS)[number]

/** Kinds without a namespace; they live in the partition ''. */
export const CLUSTER_KINDS: ReadonlySet<Kind> = new Set(['Tenant', 'Namespace'])

/** Names one object. `namespace` is '' for cluster-scoped kinds. */
export interface ObjectRef {
  readonly kind: Kind
  readonly namespace: string
  readonly name: string
}

/** The part of `metadata` that Atrium reads. Anything else is dropped by the source, so a change of it wakes nobody. */
export interface ObjectMeta {
  readonly name: string
  readonly namespace: string
  readonly uid?: string
  readonly generation: number
  readonly labels: Readonly<Record<string, string>>
  readonly annotations: Readonly<Record<string, string>>
  readonly deletionTimestamp?: string
}

/**
 * One object as it was written. Tenant, Route and Policy: `body` is `{ spec }`. Service, EndpointSlice, Pod,
 * ReferenceGrant: the fields beside metadata, unchecked. Namespace: {}. Secret and ConfigMap: see SourceSecret.
 */
export interface SourceObject {
  readonly kind: Kind
  readonly metadata: ObjectMeta
  readonly body: Readonly<Record<string, unknown>>
  /** Secret and ConfigMap only: what the inspector at the edge found in it. */
  readonly material?: Material
}

/**
 * What one inspector (controller/sources/inspect-material.ts) found in a Secret or ConfigMap. Compile reads the facts;
 * the material itself it only passes on, in a type that prints as hidden.
 */
export interface Material {
  /** `tls`: has tls.crt and tls.key. `ca`: has ca.crt. A Secret may be both. */
  readonly certificate?: CertificateFacts
  readonly authorities?: AuthorityFacts
}

/** Facts of a certificate chain with its key. Times are milliseconds since the epoch. */
export interface CertificateFacts {
  /** DNS names of the leaf, lower case, wildcards as written. */
  readonly names: readonly string[]
  readonly notBefore: number
  readonly notAfter: number
  /** SHA-256 of the chain and the public key: identity for hashing. Never over a low-entropy secret. */
  readonly fingerprint: string
  /** Why it cannot be used (not PEM, key does not match, no key); absent when it can. */
  readonly problem?: string
  readonly chainPem: string
  readonly keyPem: Hidden<string>
}

/** Facts of a CA bundle. */
export interface AuthorityFacts {
  readonly count: number
  readonly notAfter: number
  readonly fingerprint: string
  readonly problem?: string
  readonly pem: string
}

/** All objects of one namespace ('' for cluster-scoped kinds). Replaced whole when any object of it changes. */
export interface Partition {
  readonly namespace: string
  /** By kind, then by name. A kind without objects may be absent. */
  readonly objects: ReadonlyMap<Kind, ReadonlyMap<string, SourceObject>>
}

/** Something that is held by a tenant until released: never derived from the age of an object. */
export interface Claim {
  readonly what: 'host' | 'port' | 'namespace'
  /** The hostname (wildcards as `*.domain`), the port as text, or the namespace. */
  readonly name: string
  readonly tenant: string
  /** Milliseconds since the epoch, stamped by the loop. */
  readonly since: number
  /** Set by the loop when the tenant stopped wanting it; the claim still holds until the loop marks it expired. */
  readonly releasedAt?: number
  /** Marked by the loop: compile treats it as gone. The clock reaches compile only through this. */
  readonly expired?: true
}

/** The last accepted form of an object whose newest form is rejected. */
export interface LastGood {
  readonly object: ObjectRef
  readonly generation: number
  readonly body: Readonly<Record<string, unknown>>
  readonly material?: Material
}

/** Everything compile reads. Deeply frozen by convention: whoever has one may keep it. */
export interface ResourceSet {
  /** Opaque; differs whenever anything in it differs. */
  readonly revision: string
  readonly partitions: ReadonlyMap<string, Partition>
  readonly claims: readonly Claim[]
  readonly lastGood: readonly LastGood[]
}

/** The text form of an ObjectRef for maps: length-prefixed, so that no two refs share one. */
export function objectKey(ref: ObjectRef): string {
  return tupleKey([ref.kind, ref.namespace, ref.name])
}

/** `Kind namespace/name`, for people. Never used as a key. */
export function objectLabel(ref: ObjectRef): string {
  return ref.namespace === '' ? `${ref.kind} ${ref.name}` : `${ref.kind} ${ref.namespace}/${ref.name}`
}

/** An injective text form of a tuple of texts: each part is prefixed with its length. */
export function tupleKey(parts: readonly string[]): string {
  let key = ''
  for (const part of parts) key += `${part.length}:${part}`
  return key
}

// Reads the input of a golden case: in.yaml, and where a case is about them last-good.yaml, claims.yaml, settings.yaml.
// Small on purpose: a case is written by us, so nothing is located and nothing is refused. A Secret or ConfigMap may carry
// `facts` instead of PEM texts: what the inspector would have found.
import { createHash } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse, parseAllDocuments } from 'yaml'
import type { CompileSettings } from '../../controller/compile/compile-types.ts'
import { Hidden } from '../../model/hidden.ts'
import type { Claim, Kind, LastGood, Material, Partition, ResourceSet, SourceObject } from '../../model/resources.ts'
import { POLICIES } from '../../policies/index.ts'

/** What a case compiles. */
export interface GoldenInput {
  readonly resources: ResourceSet
  readonly settings: CompileSettings
}

type Fields = Readonly<Record<string, unknown>>

/** Reads the input files of the case in `folder`. */
export function loadGolden(folder: string): GoldenInput {
  const objects = readObjects(join(folder, 'in.yaml'))
  const lastGood = optional(folder, 'last-good.yaml') ? readObjects(join(folder, 'last-good.yaml')) : []
  const claims = optional(folder, 'claims.yaml') ? (readYaml(folder, 'claims.yaml') as Claim[]) : []
  const settings = optional(folder, 'settings.yaml') ? (readYaml(folder, 'settings.yaml') as Fields) : {}
  return {
    resources: {
      revision: '1',
      partitions: partition(objects),
      claims: claims.map((claim, index) => ({ ...claim, since: claim.since ?? index + 1 })),
      lastGood: lastGood.map(asLastGood),
    },
    settings: {
      digest: (text) => createHash('sha256').update(text).digest('hex'),
      policies: POLICIES,
      allowEndpoints: (settings['allowEndpoints'] ?? []) as string[],
      ownAddresses: (settings['ownAddresses'] ?? []) as string[],
    },
  }
}

function optional(folder: string, file: string): boolean {
  return existsSync(join(folder, file))
}

function readYaml(folder: string, file: string): unknown {
  return parse(readFileSync(join(folder, file), 'utf8'))
}

function readObjects(file: string): readonly SourceObject[] {
  return parseAllDocuments(readFileSync(file, 'utf8'))
    .map((document) => {
      const [error] = document.errors
      if (error !== undefined) throw new Error(`${file}: ${error.message}`)
      return document.toJS() as Fields | null
    })
    .filter((fields) => fields !== null)
    .map(asObject)
}

function asObject(fields: Fields): SourceObject {
  const { apiVersion: _version, kind, metadata, facts, status, ...rest } = fields
  const { name, namespace = '', generation = 1, labels = {}, annotations = {} } = (metadata ?? {}) as Fields
  const isMaterial = kind === 'Secret' || kind === 'ConfigMap'
  return {
    kind: kind as Kind,
    metadata: {
      name: String(name),
      namespace: String(namespace),
      generation: Number(generation),
      labels: labels as Record<string, string>,
      annotations: annotations as Record<string, string>,
    },
    // A Pod says where it is in its status; the status of our own kinds is what we write ourselves.
    body: isMaterial ? {} : kind === 'Pod' ? { ...rest, status } : rest,
    ...(isMaterial ? { material: asMaterial((facts ?? {}) as Fields) } : {}),
  }
}

function asMaterial({ certificate, authorities }: Fields): Material {
  return {
    ...(certificate === undefined ? {} : { certificate: asCertificate(certificate as Fields) }),
    ...(authorities === undefined ? {} : { authorities: asAuthorities(authorities as Fields) }),
  }
}

function asCertificate(facts: Fields): NonNullable<Material['certificate']> {
  return {
    names: (facts['names'] ?? []) as string[],
    notBefore: time(facts['notBefore'], '2025-01-01'),
    notAfter: time(facts['notAfter'], '2030-01-01'),
    fingerprint: String(facts['fingerprint']),
    chainPem: '',
    keyPem: new Hidden(''),
    ...problemOf(facts),
  }
}

function asAuthorities(facts: Fields): NonNullable<Material['authorities']> {
  const fingerprint = String(facts['fingerprint'])
  return { count: 1, notAfter: time(facts['notAfter'], '2030-01-01'), fingerprint, pem: '', ...problemOf(facts) }
}

function time(written: unknown, otherwise: string): number {
  return Date.parse(String(written ?? otherwise))
}

function problemOf(facts: Fields) {
  return facts['problem'] === undefined ? {} : { problem: String(facts['problem']) }
}

function asLastGood({ kind, metadata, body, material }: SourceObject): LastGood {
  const { namespace, name, generation } = metadata
  return {
    object: { kind, namespace, name },
    generation,
    body,
    ...(material === undefined ? {} : { material }),
  }
}

function partition(objects: readonly SourceObject[]): ReadonlyMap<string, Partition> {
  const partitions = new Map<string, { namespace: string; objects: Map<Kind, Map<string, SourceObject>> }>()
  for (const object of objects) {
    const { namespace, name } = object.metadata
    const part = partitions.get(namespace) ?? { namespace, objects: new Map() }
    partitions.set(namespace, part)
    const named = part.objects.get(object.kind) ?? new Map<string, SourceObject>()
    part.objects.set(object.kind, named)
    named.set(name, object)
  }
  return partitions
}

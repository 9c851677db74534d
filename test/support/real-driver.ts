// Puts the objects of the sources' suite into a real API server, each driver under a prefix of its own, and shows a
// source of that server without the prefix and without what the cluster itself holds. Identity is kept.
import { API_RESOURCES, listPath } from '../../controller/sources/kubernetes/kinds.ts'
import { createKubernetesSource } from '../../controller/sources/kubernetes/source.ts'
import type { Source, SourceState } from '../../controller/sources/source.ts'
import type { Kind, ObjectRef, Partition, SourceObject } from '../../model/resources.ts'
import { CLUSTER_KINDS } from '../../model/resources.ts'
import type { InputObject, SourceDriver } from '../contracts/source.ts'
import { must, type RealApi } from './real-api.ts'

/** A driver over `api`; `serial` tells its objects from those of others. */
export function realDriver(api: RealApi, serial: number): SourceDriver {
  const prefix = `t${serial}-`
  const written = new Set<string>()
  const namespaces = new Set<string>()
  const { client } = api
  const pathOf = (kind: Kind, namespace: string) => {
    const resource = API_RESOURCES[kind]
    return listPath(resource, resource.prefixes[0] ?? '', CLUSTER_KINDS.has(kind) ? undefined : prefix + namespace)
  }
  const nameOf = (kind: Kind, name: string) => (CLUSTER_KINDS.has(kind) ? prefix + name : name)
  const ensureNamespace = async (namespace: string) => {
    if (namespaces.has(namespace)) return
    namespaces.add(namespace)
    await put('/api/v1/namespaces', prefix + namespace, {
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: { name: prefix + namespace },
    })
  }
  const put = async (path: string, name: string, object: Record<string, unknown> & { metadata: object }) => {
    const there = await client.request({ path: `${path}/${name}` })
    if (there.status === 404) {
      await must(client, 'POST', path, object)
      return
    }
    const { resourceVersion } = Object((there.body as { metadata: unknown }).metadata)
    await must(client, 'PUT', `${path}/${name}`, { ...object, metadata: { ...object.metadata, resourceVersion } })
  }
  return {
    validates: true,
    create: () => new PrefixedSource(createKubernetesSource({ client }), prefix, written),
    async write(object: InputObject) {
      const { kind, metadata } = object
      const { namespace = '', name } = metadata
      if (!CLUSTER_KINDS.has(kind)) await ensureNamespace(namespace)
      written.add(`${kind}/${nameOf(kind, name)}`)
      await put(pathOf(kind, namespace), nameOf(kind, name), {
        ...object,
        metadata: {
          ...metadata,
          name: nameOf(kind, name),
          ...(namespace === '' ? {} : { namespace: prefix + namespace }),
        },
      })
      if (kind === 'Namespace') namespaces.add(name)
      if (kind !== 'Secret') return
      await put('/apis/atrium.dev/v1alpha1/tenants', `${prefix}refers`, {
        apiVersion: 'atrium.dev/v1alpha1',
        kind: 'Tenant',
        metadata: { name: `${prefix}refers` },
        spec: { tls: { certificateRefs: [{ name, namespace: prefix + namespace }] } },
      })
    },
    async remove({ kind, namespace, name }: ObjectRef) {
      await must(client, 'DELETE', `${pathOf(kind, namespace)}/${nameOf(kind, name)}`)
    },
    async cleanUp() {
      for (const namespace of namespaces) await must(client, 'DELETE', pathOf('Route', namespace))
      await client.request({ method: 'DELETE', path: `/apis/atrium.dev/v1alpha1/tenants/${prefix}refers` })
    },
  }
}

/** A source as if there were nothing but what was written under the prefix. */
class PrefixedSource implements Source {
  readonly #source: Source
  readonly #prefix: string
  readonly #written: ReadonlySet<string>
  readonly #objects = new WeakMap<SourceObject, SourceObject>()
  #partitions: ReadonlyMap<string, Partition> = new Map()
  #resources: SourceState['resources'] = { revision: '0', partitions: new Map() }
  #revision = 0

  constructor(source: Source, prefix: string, written: ReadonlySet<string>) {
    this.#source = source
    this.#prefix = prefix
    this.#written = written
  }

  start(onChange: () => void): Promise<void> {
    return this.#source.start(onChange)
  }

  read(): SourceState {
    const state = this.#source.read()
    const before = this.#partitions
    const partitions = new Map<string, Partition>()
    let same = true
    for (const [namespace, partition] of state.resources.partitions) {
      if (namespace !== '' && !namespace.startsWith(this.#prefix)) continue
      const name = namespace.slice(this.#prefix.length)
      const after = this.#partition(name, partition, before.get(name))
      if (after !== undefined) partitions.set(name, after)
      if (after !== before.get(name)) same = false
    }
    if (!same || partitions.size !== before.size) {
      this.#partitions = partitions
      this.#resources = { revision: String(++this.#revision), partitions }
    }
    const changed = [...state.changed]
      .filter((namespace) => namespace === '' || namespace.startsWith(this.#prefix))
      .map((namespace) => namespace.slice(this.#prefix.length))
      .filter((name) => partitions.get(name) !== before.get(name))
    return { ...state, resources: this.#resources, changed: new Set(changed) }
  }

  locate(object: ObjectRef, path: readonly (string | number)[]) {
    return this.#source.locate(object, path)
  }

  stop(): Promise<void> {
    return this.#source.stop()
  }

  #partition(namespace: string, partition: Partition, before: Partition | undefined): Partition | undefined {
    const objects = new Map<Kind, Map<string, SourceObject>>()
    for (const [kind, names] of partition.objects) {
      for (const [name, object] of names) {
        if (!this.#isWritten(kind, name)) continue
        const shown = this.#object(object)
        const shownNames = objects.get(kind) ?? new Map<string, SourceObject>()
        objects.set(kind, shownNames)
        shownNames.set(shown.metadata.name, shown)
      }
    }
    if (objects.size === 0) return undefined
    return before !== undefined && sameObjects(before.objects, objects) ? before : { namespace, objects }
  }

  #isWritten(kind: Kind, name: string): boolean {
    return !CLUSTER_KINDS.has(kind) || this.#written.has(`${kind}/${name}`)
  }

  #object(object: SourceObject): SourceObject {
    let shown = this.#objects.get(object)
    if (shown === undefined) {
      const { name, namespace } = object.metadata
      const isClusterScoped = namespace === ''
      shown = {
        ...object,
        metadata: {
          ...object.metadata,
          name: isClusterScoped ? name.slice(this.#prefix.length) : name,
          namespace: namespace.slice(this.#prefix.length),
          labels: withoutCluster(object.metadata.labels),
        },
      }
      this.#objects.set(object, shown)
    }
    return shown
  }
}

function withoutCluster(labels: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(labels).filter(([key]) => key !== 'kubernetes.io/metadata.name'))
}

function sameObjects(a: Partition['objects'], b: Partition['objects']): boolean {
  return (
    a.size === b.size &&
    [...a].every(([kind, names]) => {
      const others = b.get(kind)
      return others?.size === names.size && [...names].every(([name, object]) => others.get(name) === object)
    })
  )
}

// Watches the objects of the cluster's store, and says when another hand changed one: a standby then loads again, the
// leader writes over it. controller/cluster.ts starts it once the loop runs.
import type { ApiClient } from '../sources/kubernetes/client.ts'
import { identify } from '../sources/kubernetes/keep-object.ts'
import { API_RESOURCES } from '../sources/kubernetes/kinds.ts'
import { type ClusterStateStore, stateSelector } from './cluster-store.ts'
import { ObjectWatch } from './object-watch.ts'

export interface StoreWatchOptions {
  readonly client: ApiClient
  readonly namespace: string
  readonly release: string
  readonly store: ClusterStateStore
  readonly onForeign: () => void
}

/** Makes the watches. */
export function watchStore({ client, namespace, release, store, onForeign }: StoreWatchOptions): {
  start(): void
  stop(): Promise<void>
} {
  const watches = (['ConfigMap', 'Secret'] as const).map(
    (kind) =>
      new ObjectWatch({
        client,
        resource: API_RESOURCES[kind],
        namespace,
        labelSelector: stateSelector(release),
        // Content is read by `load`, where it is checked.
        keep: (object) => identify(object)?.version ?? '',
        onChange: (name, version) => {
          if (store.seen(kind, name, version)) onForeign()
        },
      }),
  )
  return {
    start() {
      for (const watch of watches) watch.start().catch(() => undefined)
    },
    async stop() {
      await Promise.all(watches.map(async (watch) => await watch.stop()))
    },
  }
}

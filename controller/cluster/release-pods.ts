// The dataplane pods that the API server lists: the EndpointSlices of the release's Service, ready or not. They only
// confirm what pods prove by calling. controller/cluster.ts hands the list to the peers.
import type { Peer } from '../publish/peers.ts'
import type { ApiClient } from '../sources/kubernetes/client.ts'
import { API_RESOURCES } from '../sources/kubernetes/kinds.ts'
import { isRecord, listIn, type RawRecord, recordIn, textIn } from '../sources/kubernetes/raw.ts'
import { ObjectWatch } from '../stores/object-watch.ts'

export interface ReleasePodsOptions {
  readonly client: ApiClient
  readonly namespace: string
  /** Name of the Service that selects the pods. */
  readonly service: string
  /** On which the pods take pushes. */
  readonly port: number
  readonly onChange: (pods: readonly Peer[]) => void
}

/** Makes the watch. */
export function watchReleasePods(options: ReleasePodsOptions): ObjectWatch<readonly Peer[]> {
  const { client, namespace, service, port, onChange } = options
  const watch: ObjectWatch<readonly Peer[]> = new ObjectWatch<readonly Peer[]>({
    client,
    resource: API_RESOURCES.EndpointSlice,
    namespace,
    labelSelector: `kubernetes.io/service-name=${service}`,
    keep: (slice) => listIn(slice, 'endpoints').flatMap((endpoint) => peerOf(endpoint, port) ?? []),
    onChange: () => onChange([...watch.objects.values()].flat()),
  })
  return watch
}

function peerOf(endpoint: unknown, port: number): Peer | undefined {
  if (!isRecord(endpoint)) return undefined
  const target: RawRecord = recordIn(endpoint, 'targetRef')
  const [address] = listIn(endpoint, 'addresses')
  const uid = textIn(target, 'uid')
  const name = textIn(target, 'name')
  if (textIn(target, 'kind') !== 'Pod' || uid === '' || typeof address !== 'string') return undefined
  return { uid, name, address, port }
}

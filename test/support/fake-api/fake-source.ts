// A Kubernetes source over a fake API server, with clocks short enough for tests. Used by the tests of the source and by
// whoever needs a live source without a cluster.
import { createApiClient, type ApiClient } from '../../../controller/sources/kubernetes/client.ts'
import { readInCluster } from '../../../controller/sources/kubernetes/in-cluster.ts'
import { API_RESOURCES } from '../../../controller/sources/kubernetes/kinds.ts'
import type { ReflectorTiming } from '../../../controller/sources/kubernetes/reflector-timing.ts'
import {
  createKubernetesSource,
  type KubernetesSource,
  type KubernetesSourceOptions,
} from '../../../controller/sources/kubernetes/source.ts'
import type { ObjectRef } from '../../../model/resources.ts'
import type { InputObject } from '../../contracts/source.ts'
import type { FakeApi } from './api-server.ts'

/** The clocks of a test: everything in tenths of a second. */
export const SHORT_TIMING: Partial<ReflectorTiming> = {
  silenceMs: 1_500,
  quietWatchSeconds: [1, 1],
  headTimeoutMs: 500,
  listTimeoutMs: 2_000,
  backoff: { baseMs: 10, maxMs: 100 },
  materialBackoff: { baseMs: 10, maxMs: 100 },
  settledMs: 500,
  disbeliefMs: 300,
  disbeliefRetryMs: 50,
  absentRecheckMs: 100,
  eagerMs: 0,
  pageSize: 3,
}

/** A client with the service account that the fake server wrote. */
async function fakeClient(api: FakeApi): Promise<ApiClient> {
  const credentials = await readInCluster({ host: 'localhost', port: api.port, folder: api.folder })
  return createApiClient({ credentials, ping: { everyMs: 200, answerWithinMs: 200 } })
}

/** A source over the fake server. Stop it, then close the client. */
export async function fakeSource(
  api: FakeApi,
  options: Partial<KubernetesSourceOptions> = {},
): Promise<{ source: KubernetesSource; client: ApiClient }> {
  const client = await fakeClient(api)
  const source = createKubernetesSource({
    client,
    firstMaterialMs: 1_000,
    tellAfterMs: 200,
    ...options,
    timing: { ...SHORT_TIMING, ...options.timing },
  })
  return { source, client }
}

/** Writes an object into the fake server. */
export function put(api: FakeApi, object: InputObject): void {
  api.store.put(API_RESOURCES[object.kind].plural, { ...object })
}

/** Removes one. */
export function remove(api: FakeApi, { kind, namespace, name }: ObjectRef): void {
  api.store.remove(API_RESOURCES[kind].plural, namespace, name)
}

// The Kubernetes source against a fake API server: the suite of all sources. faults.test.ts has what goes wrong.
import { describeSource, type InputObject, type SourceDriver } from '../../../test/contracts/source.ts'
import { FakeApi } from '../../../test/support/fake-api/api-server.ts'
import { fakeSource, put, remove } from '../../../test/support/fake-api/fake-source.ts'
import type { ObjectRef } from '../../../model/resources.ts'
import type { Source } from '../source.ts'

async function fakeDriver(): Promise<SourceDriver> {
  const api = await FakeApi.start()
  api.absent.clear()
  const { source, client } = await fakeSource(api)
  return {
    create: (): Source => source,
    async write(object: InputObject) {
      put(api, object)
      if (object.kind !== 'Secret') return
      // Only what is referred to is ever read.
      const { name, namespace = '' } = object.metadata
      put(api, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } })
      put(api, {
        apiVersion: 'atrium.dev/v1alpha1',
        kind: 'Tenant',
        metadata: { name: 'refers' },
        spec: { tls: { certificateRefs: [{ name, namespace }] } },
      })
    },
    async remove(ref: ObjectRef) {
      remove(api, ref)
    },
    async cleanUp() {
      client.close()
      await api.stop()
    },
  }
}

describeSource('a fake API server', fakeDriver)

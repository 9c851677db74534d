// Edits at a steady rate from a thread of their own, so that whoever measures meanwhile is not busy with them. Each of a
// number of objects in turn: edits of one object would wait for each other in the API server. 02-propagation.e2e.ts starts it.
import { parentPort, workerData } from 'node:worker_threads'
import { openApi, ownPath } from './api.ts'
import { COPY_GROUP } from './copied-kind.ts'
import { routeOf } from './tenant.ts'

/** What to edit: Routes, or what nobody of Atrium's watches: ConfigMaps, or objects of a copy of the kind Route. */
export interface EditsPlan {
  readonly tenant: string
  readonly what: 'routes' | 'configmaps' | 'copies'
  readonly objects: number
  /** Edits in a second. */
  readonly rate: number
}

const MOST_UNDER_WAY = 50
const { tenant, what, objects, rate } = workerData as EditsPlan
const api = await openApi()
const collection = {
  routes: ownPath('routes', tenant),
  copies: `/apis/${COPY_GROUP}/v1alpha1/namespaces/${tenant}/routes`,
  configmaps: `/api/v1/namespaces/${tenant}/configmaps`,
}[what]
const nameOf = (index: number) => `${what === 'routes' ? 'edited' : 'unrelated'}-${index}`
/** Of a Route that is served: what is copied is as large as what it is copied from. */
const status: unknown = what === 'copies' ? await statusOfSome() : undefined

for (let index = 0; index < objects; index++) {
  const name = nameOf(index)
  await api.call('POST', collection, made(name))
  if (status !== undefined) await api.call('PATCH', `${collection}/${name}/status`, { status })
}
parentPort?.postMessage('ready')

let sent = 0
let done = 0
const began = performance.now()
const timer = setInterval(() => {
  // Timers come late on a busy machine: as many as are due, unless the API server is behind already.
  const due = Math.floor(((performance.now() - began) * rate) / 1_000)
  while (sent < due && sent - done < MOST_UNDER_WAY) {
    const edit = sent++
    const settle = () => done++
    api.call('PATCH', `${collection}/${nameOf(edit % objects)}`, changed(edit)).then(settle, settle)
  }
}, 5)

parentPort?.once('message', () => {
  clearInterval(timer)
  parentPort?.postMessage((done * 1_000) / (performance.now() - began))
  api.close()
})

function made(name: string): unknown {
  if (what === 'configmaps') return { metadata: { name } }
  const route = routeOf(tenant, name, `${name}.${tenant}.test`)
  return what === 'routes' ? route : { ...route, apiVersion: `${COPY_GROUP}/v1alpha1` }
}

async function statusOfSome(): Promise<unknown> {
  const { body } = await api.call('GET', ownPath('routes'))
  const { items } = Object(body) as { readonly items?: readonly { readonly status?: unknown }[] }
  return items?.find((item) => item.status !== undefined)?.status
}

function changed(edit: number): unknown {
  if (what === 'configmaps') return { data: { edit: String(edit) } }
  const request = `${10 + (Math.floor(edit / objects) % 50)}s`
  return { spec: { rules: [{ backendRefs: [{ name: 'web', port: 80 }], timeouts: { request } }] } }
}

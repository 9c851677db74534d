// Edits at a steady rate from a thread of their own, so that whoever measures meanwhile is not busy with them. Each of a
// number of objects in turn: edits of one object would wait for each other in the API server. 02-propagation.e2e.ts starts
// it; it says `ready` once its objects are made.
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

/** What the thread is told, as often as one likes but for the last; after 'stop' it answers with the edits a second. */
export type EditsOrder = 'go' | 'stop' | 'end'

interface Listed {
  readonly status?: { readonly conditions?: readonly { readonly type: string; readonly status: string }[] }
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
// What making them has set going is over before anything is measured.
if (what === 'routes') while (!(await areReady())) await new Promise((resolve) => setTimeout(resolve, 1_000))

let stopEditing: (() => number) | undefined
parentPort?.on('message', (order: EditsOrder) => {
  if (order === 'go') stopEditing = edit()
  else if (order === 'stop') parentPort?.postMessage(stopEditing?.() ?? 0)
  else {
    stopEditing?.()
    parentPort?.close()
    api.close()
  }
})
parentPort?.postMessage('ready')

/** Begins; the function that ends it returns how many edits a second there were. */
function edit(): () => number {
  let sent = 0
  let done = 0
  const began = performance.now()
  const timer = setInterval(() => {
    // Timers come late on a busy machine: as many as are due, unless the API server is behind already.
    const due = Math.floor(((performance.now() - began) * rate) / 1_000)
    while (sent < due && sent - done < MOST_UNDER_WAY) {
      const number = sent++
      const settle = () => done++
      api.call('PATCH', `${collection}/${nameOf(number % objects)}`, changed(number)).then(settle, settle)
    }
  }, 5)
  return () => {
    clearInterval(timer)
    return (done * 1_000) / (performance.now() - began)
  }
}

async function areReady(): Promise<boolean> {
  const items = await listed(ownPath('routes', tenant))
  return items.filter(isReady).length >= objects
}

function isReady({ status }: Listed): boolean {
  return status?.conditions?.some(({ type, status: holds }) => type === 'Ready' && holds === 'True') === true
}

function made(name: string): unknown {
  if (what === 'configmaps') return { metadata: { name } }
  const route = routeOf(tenant, name, `${name}.${tenant}.test`)
  return what === 'routes' ? route : { ...route, apiVersion: `${COPY_GROUP}/v1alpha1` }
}

async function listed(path: string): Promise<readonly Listed[]> {
  const { body } = await api.call('GET', path)
  return (Object(body) as { readonly items?: readonly Listed[] }).items ?? []
}

async function statusOfSome(): Promise<unknown> {
  return (await listed(ownPath('routes'))).find(isReady)?.status
}

function changed(edit: number): unknown {
  if (what === 'configmaps') return { data: { edit: String(edit) } }
  const request = `${10 + (Math.floor(edit / objects) % 50)}s`
  return { spec: { rules: [{ backendRefs: [{ name: 'web', port: 80 }], timeouts: { request } }] } }
}

// How long a new Route takes from the API server's answer to the first 200 of every dataplane pod, and what clients see
// meanwhile: 404, then 200, nothing else. With ATRIUM_E2E_ALL ten times as many, and beside a neighbour who edits: a hundred
// beside each kind of edits in turn, and that three times over, so that what the machine does of itself meets all alike.
import { once } from 'node:events'
import { Agent } from 'node:http'
import { Worker } from 'node:worker_threads'
import { afterAll, beforeAll, expect, onTestFailed, test } from 'vitest'
import { type Api, openApi, ownPath } from './support/api.ts'
import { copyRouteKind, removeCopiedKind } from './support/copied-kind.ts'
import type { EditsOrder, EditsPlan } from './support/edits-worker.ts'
import { describeInstallation, type GatewayAddress, gatewayAddress, install, podsOf } from './support/installation.ts'
import { ask, askUntil, quantile } from './support/request.ts'
import { makeTenant, removeTenant, routeOf } from './support/tenant.ts'
import { reachable } from './support/reachable.ts'

const ALL = process.env['ATRIUM_E2E_ALL'] === '1'
const COUNT = ALL ? 300 : 30
const TENANT = 'prop'
const NEIGHBOUR = 'noisy'
/** What the neighbour edits: Routes, what costs the API server as much, and what nobody watches. */
const EDITS = ['routes', 'copies', 'configmaps'] as const
type Edits = (typeof EDITS)[number]
/** Of those in turn. */
const ROUNDS = 3
const GIVE_UP = 10_000
/** Often enough for the figure, and seldom enough not to be what the machine is busy with: 4 ms kept half of it busy. */
const ASK_EVERY_MS = 10
const EDITS_PER_SECOND = 100
/** Objects of the neighbour, each edited once a second. */
const EDITED = 100
const TIME = ALL ? 900_000 : 120_000

let api: Api
let gateways: readonly GatewayAddress[]

beforeAll(async () => {
  install()
  api = await openApi()
  makeTenant(TENANT)
  if (ALL) {
    for (const name of [NEIGHBOUR, ...EDITS]) makeTenant(name)
    copyRouteKind()
  }
  gateways = await eachPod()
  await warmUp()
})

afterAll(() => {
  api.close()
  removeTenant(TENANT)
  if (!ALL) return
  for (const name of [NEIGHBOUR, ...EDITS]) removeTenant(name)
  removeCopiedKind()
})

test(`${COUNT} Routes one by one: 404, then 200, nothing else`, { timeout: TIME }, async () => {
  onTestFailed(() => console.log(describeInstallation()))
  const times = await createRoutes(TENANT, 0, COUNT)
  report(`${COUNT} routes`, times)
  expect(quantile(times, 0.99)).toBeLessThan(2_000)
})

test.runIf(ALL)('the same while another tenant edits 100 times a second', { timeout: 3 * TIME }, async () => {
  const times: Record<Edits, number[]> = { configmaps: [], copies: [], routes: [] }
  const rates: Record<Edits, string[]> = { configmaps: [], copies: [], routes: [] }
  const editors: { readonly what: Edits; readonly editor: Worker }[] = []
  try {
    // One after the other, Routes first: the copies have the status of one that is served.
    for (const what of EDITS) editors.push({ what, editor: await startEditor(what) })
    const each = COUNT / ROUNDS
    for (let round = 0; round < ROUNDS; round++) {
      for (const { what, editor } of [...editors.slice(round), ...editors.slice(0, round)]) {
        tell(editor, 'go')
        times[what].push(...(await createRoutes(what, round * each, each)))
        const answer = once(editor, 'message')
        tell(editor, 'stop')
        rates[what].push(Number((await answer)[0]).toFixed(0))
      }
    }
  } finally {
    for (const { editor } of editors) tell(editor, 'end')
  }
  for (const what of EDITS) report(`beside ${rates[what].join(', ')} edits/s of ${what}`, times[what])
  const ratio = (to: Edits, share: number) => quantile(times.routes, share) / quantile(times[to], share)
  for (const to of ['configmaps', 'copies'] as const) {
    const ratios = [0.5, 0.9, 0.99].map((share) => `p${share * 100} ${ratio(to, share).toFixed(2)}`)
    console.log(`Routes against ${to}: ${ratios.join(', ')}`)
  }
  // The time itself is for whoever reads the figures; this says that nobody waits for the neighbour's queue.
  expect(ratio('configmaps', 0.5)).toBeLessThan(3)
})

/** Creates routes one after the other; milliseconds from the API server's answer until all pods answer 200. */
async function createRoutes(tenant: string, from: number, count: number): Promise<readonly number[]> {
  const times: number[] = []
  for (let index = from; index < from + count; index++) {
    times.push(await createRoute(tenant, `r${index}`, `r${index}.${tenant}.test`))
  }
  return times
}

async function createRoute(tenant: string, name: string, host: string): Promise<number> {
  let until = Number.POSITIVE_INFINITY
  const watches = gateways.map((gateway) => watchHost(gateway, host, () => until))
  const { status, answeredAt } = await api.call('POST', ownPath('routes', tenant), routeOf(tenant, name, host))
  expect(status).toBe(201)
  until = answeredAt + GIVE_UP
  const firsts = await Promise.all(watches)
  return Math.max(0, Math.max(...firsts) - answeredAt)
}

/** Asks one pod all the time, until it has answered 200 for a while; when the first of those came. */
async function watchHost(gateway: GatewayAddress, host: string, until: () => number): Promise<number> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  let first: number | undefined
  let more = 5
  try {
    while (more > 0) {
      const { status } = await ask(gateway, host, { agent })
      const now = performance.now()
      if (status === 200) {
        first ??= now
        more--
      } else {
        expect({ status, after200: first !== undefined }).toEqual({ status: 404, after200: false })
        if (now > until()) throw new Error(`${host}: still ${status} after ${GIVE_UP} ms`)
      }
      await new Promise((resolve) => setTimeout(resolve, ASK_EVERY_MS))
    }
    return first ?? Number.NaN
  } finally {
    agent.destroy()
  }
}

/** Makes what the neighbour edits, and the thread that will. */
async function startEditor(what: Edits): Promise<Worker> {
  const plan: EditsPlan = { tenant: NEIGHBOUR, what, objects: EDITED, rate: EDITS_PER_SECOND }
  const worker = new Worker(new URL('./support/edits-worker.ts', import.meta.url), { workerData: plan })
  await once(worker, 'message')
  return worker
}

function tell(editor: Worker, order: EditsOrder): void {
  editor.postMessage(order)
}

/** Every pod by itself where this machine has a way there, else the gateway as one. */
async function eachPod(): Promise<readonly GatewayAddress[]> {
  const pods = podsOf('dataplane').map(({ status }) => ({ host: status.podIP ?? '', port: 8080, tlsPort: 8443 }))
  const first = pods[0]
  if (first !== undefined && (await reachable(first.host, first.port))) return pods
  return [await gatewayAddress()]
}

/** The first route of each tenant pays for what is loaded lazily. */
async function warmUp(): Promise<void> {
  for (const tenant of ALL ? [TENANT, ...EDITS] : [TENANT]) {
    await api.call('POST', ownPath('routes', tenant), routeOf(tenant, 'warm', `warm.${tenant}.test`))
    for (const gateway of gateways) {
      await askUntil(gateway, `warm.${tenant}.test`, ({ status }) => status === 200, GIVE_UP)
    }
  }
}

function report(what: string, times: readonly number[]): void {
  const [p50, p99, most] = [quantile(times, 0.5), quantile(times, 0.99), Math.max(...times)].map((ms) => ms.toFixed(0))
  console.log(`${what}: p50 ${p50} ms, p99 ${p99} ms, most ${most} ms, on ${gateways.length} pods`)
}

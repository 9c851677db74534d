// A worker thread that hammers shared state, for shared-state-threads.test.ts and bench/limits.ts: told what to do by
// its first message, says what it did by its last. `start` is a word that all threads wait for.
import { parentPort, workerData } from 'node:worker_threads'
import type { RouteId } from '../../model/snapshot.ts'
import type { Pool } from '../../model/snapshot.ts'
import { SharedState } from '../../dataplane/runtime/shared-state.ts'
import type { PoolGrant, StateRoot, TenantGrant } from '../../dataplane/runtime/shared-state-grants.ts'

/** What a thread is to do. */
export type Job =
  /** Takes from a limiter for so many milliseconds; key number counts round `keys`, '' where that is 0. */
  | { readonly type: 'rate'; readonly milliseconds: number; readonly keys: number; readonly rate: Rate }
  /** Takes once for each key, in an order of its own. */
  | { readonly type: 'keys'; readonly keys: readonly string[]; readonly rate: Rate }
  /** Takes and releases places, `rounds` times or until it is terminated. Reports the highest total it saw. */
  | { readonly type: 'places'; readonly rounds: number; readonly bound: number }

interface Rate {
  readonly count: number
  readonly seconds: number
  readonly burst: number
}

/** What a thread is given. */
export interface ThreadData {
  readonly root: StateRoot
  readonly column: number
  readonly grant: TenantGrant
  readonly routes: readonly RouteId[]
  readonly poolGrant: PoolGrant
  readonly pool: Pool
  readonly start: Int32Array
  readonly job: Job
}

/** What a thread reports. */
export interface ThreadReport {
  readonly allowed: number
  readonly highest: number
  /** Milliseconds on the pod's clock, first and last. */
  readonly from: number
  readonly to: number
}

const data = workerData as ThreadData
const state = new SharedState(data.root, data.column)
state.grantTenant(data.grant, data.routes)
state.grantPool(data.poolGrant, data.pool)
const tenant = state.tenant(data.grant.tenant)
const [limiterGrant] = data.grant.limiters
parentPort?.postMessage('ready')
Atomics.wait(data.start, 0, 0)
parentPort?.postMessage(run(data.job))

function run(job: Job): ThreadReport {
  const from = state.now()
  let allowed = 0
  let highest = 0
  if (job.type === 'places') {
    const { concurrency } = tenant
    const first = data.pool.endpoints[0]
    if (first === undefined) throw new Error('the pool is empty')
    const endpoint = tenant.endpoint(data.pool.id, first.address, first.port)
    for (let round = 0; round < job.rounds; round++) {
      if (!concurrency.tryAcquire(job.bound)) continue
      allowed++
      endpoint.begin()
      highest = Math.max(highest, concurrency.value())
      if (round % 7 === 0) tenant.metrics.request(200, 1, 1, 0, 0, 0)
      endpoint.end()
      concurrency.release()
    }
  } else {
    if (limiterGrant === undefined) throw new Error('there is no limiter')
    const limiter = tenant.limiter(limiterGrant.id, job.rate)
    if (job.type === 'keys') {
      for (const key of job.keys) if (limiter.take(key).allowed) allowed++
    } else {
      const end = from + job.milliseconds
      for (let round = 0; state.now() < end; round++) {
        if (limiter.take(job.keys === 0 ? '' : `client ${round % job.keys}`).allowed) allowed++
      }
    }
  }
  return { allowed, highest, from, to: state.now() }
}

// What both parts of the carrier suite stand on: one route over a scripted backend, a codec in front, and the check that
// everything was given back.
import { expect } from 'vitest'
import type { CallOptions, ClientCall } from '../support/client-call.ts'
import { MemoryUpstream } from '../support/memory-upstream.ts'
import { oneRoute, type OneRoute, type OneRouteContext } from '../support/one-route.ts'

/** A codec under test. */
export interface CarrierHarness {
  call(options: CallOptions): ClientCall
  close(): Promise<void>
}

/** Starts a codec with the handler of a context. */
export type OpenCarrier = (context: OneRouteContext) => Promise<CarrierHarness>

const POOL = { tenant: 'acme', namespace: 'acme-prod', service: 'web', port: 80, tls: '' } as const

/** One codec with its backend. */
export class CarrierBench {
  readonly backend: MemoryUpstream
  readonly context: OneRouteContext
  readonly carrier: CarrierHarness

  constructor(backend: MemoryUpstream, context: OneRouteContext, carrier: CarrierHarness) {
    this.backend = backend
    this.context = context
    this.carrier = carrier
  }

  static async start(open: OpenCarrier, options: OneRoute = {}): Promise<CarrierBench> {
    const backend = new MemoryUpstream()
    const context = oneRoute([backend], options)
    return new CarrierBench(backend, context, await open(context))
  }

  /** Waits until every exchange has ended, then checks that all charges are given back. */
  async settled(count: number): Promise<void> {
    const { context } = this
    await waitFor(() => context.records.length >= count)
    const tenant = context.state.tenant('acme')
    expect(context.records.length).toBe(count)
    expect(context.leases.size).toBe(0)
    expect(tenant.concurrency.value()).toBe(0)
    expect(context.state.read('acme').active).toBe(0)
    expect(tenant.endpoint(POOL, '10.0.0.1', 8080).inFlight()).toBe(0)
    expect(context.faults).toEqual([])
  }

  async close(): Promise<void> {
    await this.carrier.close()
    this.context.close()
  }
}

/** Waits until something holds, at most some seconds. */
export async function waitFor(holds: () => boolean): Promise<void> {
  for (let turn = 0; turn < 2_000 && !holds(); turn += 1) await pause(2)
  expect(holds()).toBe(true)
}

export function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, milliseconds)
  })
}

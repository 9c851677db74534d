import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import type { Tunnel } from './carrier.ts'
import { TunnelPair } from './exchange-tunnel.ts'

type Events = Parameters<Tunnel['listen']>[0]

/** A side that never closes by itself. `tells`: it says so when it was destroyed. */
class Side implements Tunnel {
  events: Events | undefined
  ended = false
  destroyed = false
  readonly #tells: boolean

  constructor(tells: boolean) {
    this.#tells = tells
  }

  write(): boolean {
    return true
  }

  end(): void {
    this.ended = true
  }

  destroy(): void {
    if (this.destroyed) return
    this.destroyed = true
    if (this.#tells) this.events?.onClose()
  }

  pause(): void {}

  resume(): void {}

  listen(events: Events): void {
    this.events = events
  }
}

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

function setUp(clientTells: boolean, backendTells: boolean) {
  const client = new Side(clientTells)
  const backend = new Side(backendTells)
  const owner = { onTunnelBytes: vi.fn(), onTunnelClosed: vi.fn(), fault: vi.fn() }
  const pair = new TunnelPair(owner, client, backend, 300_000, () => Date.now())
  return { client, backend, pair, closed: owner.onTunnelClosed }
}

const CASES = [true, false].flatMap((client) => [true, false].map((backend) => [client, backend] as const))

it.each(CASES)('closes once, whoever tells that it is cut: client %s, backend %s', (clientTells, backendTells) => {
  const wayOut: ((set: ReturnType<typeof setUp>) => void)[] = [
    ({ pair }) => pair.goAway(),
    ({ pair }) => pair.destroy(),
    ({ client }) => client.events?.onClose(),
    ({ backend }) => backend.events?.onClose(),
    () => vi.advanceTimersByTime(300_000),
    ({ backend, pair }) => {
      // In the middle of a frame.
      backend.events?.onChunk(Uint8Array.of(0x82))
      pair.goAway()
    },
  ]
  for (const leave of wayOut) {
    const set = setUp(clientTells, backendTells)
    leave(set)
    vi.advanceTimersByTime(2_000)
    expect(set.closed.mock.calls.length).toBe(1)
    vi.advanceTimersByTime(600_000)
    expect(set.closed.mock.calls.length).toBe(1)
  }
})

it('does not stay for a client that has left while the backend says nothing', () => {
  const { client, backend, closed } = setUp(true, false)
  client.events?.onEnd()
  expect(backend.ended).toBe(true)
  vi.advanceTimersByTime(9_000)
  backend.events?.onChunk(Uint8Array.of(0x82, 0x00))
  vi.advanceTimersByTime(9_000)
  expect(closed).not.toHaveBeenCalled()
  vi.advanceTimersByTime(3_000)
  expect(closed).toHaveBeenCalledTimes(1)
})

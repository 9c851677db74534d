import { expect, it } from 'vitest'
import { ConnectionRoom, type RoomGuest } from './connection-room.ts'

class Guest implements RoomGuest {
  destroyed = false
  readonly #since: number

  /** @param idle milliseconds that it has been idle for; 0 for one that serves. */
  constructor(idle: number) {
    this.#since = idle === 0 ? Number.NaN : performance.now() - idle
  }

  idleFor(now: number): number {
    return Number.isNaN(this.#since) ? 0 : now - this.#since
  }

  destroy(): void {
    this.destroyed = true
  }
}

function fill(room: ConnectionRoom, idles: readonly number[]): Guest[] {
  return idles.map((idle) => {
    const guest = new Guest(idle)
    room.enter(guest)
    return guest
  })
}

it('ends the idlest for whoever comes, never one that serves', () => {
  const room = new ConnectionRoom(4)
  const guests = fill(room, [50, 0, 5_000, 900])
  expect(room.admits()).toBe(true)
  expect(guests.map(({ destroyed }) => destroyed)).toEqual([false, false, true, false])
  for (let count = 0; count < 2; count += 1) {
    fill(room, [0])
    expect(room.admits()).toBe(true)
  }
  fill(room, [0])
  expect(room.admits()).toBe(false)
  expect(guests.map(({ destroyed }) => destroyed)).toEqual([true, false, true, true])
})

it('admits nobody where all of them serve, until one leaves', () => {
  const room = new ConnectionRoom(2)
  const [first] = fill(room, [0, 0])
  expect(room.admits()).toBe(false)
  if (first !== undefined) room.leave(first)
  expect([room.admits(), room.size]).toEqual([true, 1])
})

it('holds a crowd of idle connections to its bound, and finds them among many that serve', () => {
  const room = new ConnectionRoom(1_000)
  fill(
    room,
    Array.from({ length: 500 }, () => 0),
  )
  let admitted = 0
  for (let count = 0; count < 5_000; count += 1) {
    if (!room.admits()) continue
    admitted += 1
    room.enter(new Guest(1_000))
    expect(room.size).toBeLessThanOrEqual(1_000)
  }
  expect(admitted).toBeGreaterThan(2_000)
})

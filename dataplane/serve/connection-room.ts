// The client connections of one worker, all ports together: bounded, so that neither its memory nor the descriptors of the
// process run out. Where there is no room, one that has been idle for long goes for whoever comes.

/** What the room asks of a connection. */
export interface RoomGuest {
  /** Milliseconds since its last answer, 0 while it serves. */
  idleFor(now: number): number
  destroy(): void
}

/** Connections that are looked at for the idlest of them. */
const LOOKED_AT = 32

/** See the head of this file. */
export class ConnectionRoom {
  readonly #most: number
  readonly #guests = new Set<RoomGuest>()
  /** Goes round, so that those who were looked at and stayed are not looked at again at once. */
  #round: Iterator<RoomGuest> | undefined

  /** @param most connections at once. */
  constructor(most: number) {
    this.#most = most
  }

  get size(): number {
    return this.#guests.size
  }

  /** Whether one more may come. May have ended an idle one for that. */
  admits(): boolean {
    if (this.#guests.size < this.#most) return true
    const now = performance.now()
    let idlest: RoomGuest | undefined
    let longest = 0
    for (let looks = 0; looks < LOOKED_AT; looks += 1) {
      const guest = this.#next()
      const idle = guest?.idleFor(now) ?? 0
      if (idle <= longest) continue
      longest = idle
      idlest = guest
    }
    if (idlest === undefined) return false
    this.#guests.delete(idlest)
    idlest.destroy()
    return true
  }

  enter(guest: RoomGuest): void {
    this.#guests.add(guest)
  }

  leave(guest: RoomGuest): void {
    this.#guests.delete(guest)
  }

  #next(): RoomGuest | undefined {
    const next = this.#round?.next()
    if (next?.done === false) return next.value
    this.#round = this.#guests.values()
    return this.#round.next().value
  }
}

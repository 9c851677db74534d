// What an exchange may use of its worker, and the ids it hands out. Types and one small class. main.ts (or a test)
// makes one context for each worker; nothing in it changes with a configuration, only what `hosts` finds.
import type { RouteId } from '../../model/snapshot.ts'
import type { HostIndex } from '../build/program.ts'
import type { AccessLog } from './access-log.ts'
import type { LeaseRegistry } from './leases.ts'
import type { PodState } from './pod-state.ts'

/** The surroundings of all exchanges of one worker. */
export interface ServeContext {
  readonly hosts: HostIndex
  readonly state: PodState
  readonly log: AccessLog
  readonly leases: LeaseRegistry
  readonly requestIds: RequestIds
  /** Told of every throw that was fenced: a fault of ours, to be logged and counted. Must not throw. */
  readonly fault: (error: unknown, where: FaultPlace) => void
  /** Port of https as clients know it, where they are sent there. */
  httpsPort(): number
  /** Wall clock in milliseconds, for the log. */
  readonly wallClock: () => number
}

/** Where a fault was fenced. */
export interface FaultPlace {
  readonly requestId: string
  readonly tenant: string
  readonly route: RouteId | null
}

/** Request ids: unique in the fleet by their random start, cheap by their counter. */
export class RequestIds {
  readonly #start: string
  #count = 0

  /** @param start random hexadecimal text of this worker, 16 digits or more. */
  constructor(start: string) {
    this.#start = start
  }

  next(): string {
    this.#count += 1
    return this.#start + this.#count.toString(16).padStart(8, '0')
  }
}

// How many descriptors this process may have open, and what of them is for clients. main.ts asks once at the start.
import { readFileSync } from 'node:fs'

/** For files, workers, the admin listener and everything that must go on when clients take all that they may. */
const RESERVED = 128
/** Every request in flight has a connection of its client and one to a backend. */
const CLIENT_SHARE = 0.45
/** Enough that a test machine serves. */
const LEAST = 16
/** What a connection may cost in heap, idle ones and busy ones together: 16 KiB. */
const PER_MEGABYTE = 64

/** RLIMIT_NOFILE, which node has raised to what the system allows; Infinity where the system does not tell. */
export function descriptorLimit(): number {
  try {
    const found = /^Max open files\s+([0-9]+)/m.exec(readFileSync('/proc/self/limits', 'latin1'))
    return found === null ? Number.POSITIVE_INFINITY : Number(found[1])
  } catch {
    return Number.POSITIVE_INFINITY
  }
}

/** Client connections that one of so many workers may hold, each with a heap of so many megabytes. */
export function mostConnections(descriptors: number, workers: number, heapMegabytes: number): number {
  const affordable = Math.floor(((descriptors - RESERVED) * CLIENT_SHARE) / workers)
  return Math.max(LEAST, Math.min(affordable, Math.floor(heapMegabytes * PER_MEGABYTE)))
}

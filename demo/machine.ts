// Whether this machine is too busy with other work for the demo's latencies to say much. Reads the system's own load.
import { availableParallelism, loadavg } from 'node:os'

const BUSY = 1.5

/** A sentence where more work waits than there are cores, else ''. Windows knows no load and says nothing. */
export function machineNote(): string {
  const [load = 0] = loadavg()
  const cores = availableParallelism()
  if (load <= cores * BUSY) return ''
  return `this machine is busy with other work (load ${load.toFixed(1)} on ${cores} cores), which shows in every latency`
}

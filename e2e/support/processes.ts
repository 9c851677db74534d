// Processes of pods, where this machine sees them: on a node of e2e/cluster every container's process is one of the host.
// The tests that stop and kill the leader use it.
import { readdirSync, readFileSync } from 'node:fs'

const ENTRY = '/app/bin/atrium.js'

/** The process of Atrium in a pod; undefined where this machine does not see it. */
export function atriumProcess(podUid: string, verb: 'controller' | 'dataplane'): number | undefined {
  for (const name of readdirSync('/proc')) {
    if (!/^[0-9]+$/.test(name)) continue
    const [, entry, first] = read(`/proc/${name}/cmdline`).split('\0')
    if (entry !== ENTRY || first !== verb) continue
    const groups = read(`/proc/${name}/cgroup`)
    if (groups.includes(podUid) || groups.includes(podUid.replaceAll('-', '_'))) return Number(name)
  }
  return undefined
}

/** A file as a process sees it. */
export function fileOf(pid: number, path: string): string {
  return `/proc/${pid}/root${path}`
}

// A process may end between two looks.
function read(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}

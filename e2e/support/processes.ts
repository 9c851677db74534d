// Processes of pods, where this machine sees them: on a node of e2e/cluster every container's process is one of the host.
// The tests that stop and kill the leader use it, and the one that measures how long workers stand still.
import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

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

/**
 * Puts threads of a process before all others of the machine, so that their turns are as long as they are and not as the
 * machine is busy. Returns how many; none where there are no rights for that. They stay there until the process ends.
 * @param isMeant by the thread's name, and whether it is the process's first.
 */
export function putFirst(pid: number, isMeant: (name: string, isMain: boolean) => boolean): number {
  return namesOf(`/proc/${pid}/task`).filter((thread) => {
    const name = read(`/proc/${pid}/task/${thread}/comm`).trim()
    if (!isMeant(name, thread === String(pid))) return false
    leaveGroup(thread)
    return spawnSync('chrt', ['--fifo', '--pid', '1', thread]).status === 0
  }).length
}

// A kernel that shares real time among groups gives a container's none. A thread can leave one of version 1 alone.
// https://docs.kernel.org/scheduler/sched-rt-group.html
function leaveGroup(thread: string): void {
  const mounts = read('/proc/mounts')
    .split('\n')
    .map((line) => line.split(' '))
  const [, root] = mounts.find(([, , type, flags]) => type === 'cgroup' && flags?.split(',').includes('cpu')) ?? []
  if (root === undefined) return
  try {
    writeFileSync(join(root, 'tasks'), thread)
  } catch {
    // Without the right to, the answer of the next call says so.
  }
}

// A process may end between two looks.
function namesOf(folder: string): readonly string[] {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}

// The programs of e2e/cluster where they were built, and how tests run them. Tests that need one are skipped where it is
// not there, and say so in their name.
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'

const CLUSTER = join(import.meta.dirname, '..', '..', 'e2e', 'cluster')

/** Folder of the scripts. */
export const CLUSTER_SCRIPTS = CLUSTER

/** Path of a program that `e2e/cluster/build` makes, undefined where it was not built here. */
export function clusterProgram(name: string): string | undefined {
  const version = /^KUBE_VERSION=(\S+)$/m.exec(readFileSync(join(CLUSTER, 'env.sh'), 'utf8'))?.[1] ?? ''
  const cache = process.env['ATRIUM_CLUSTER_CACHE'] ?? join(homedir(), '.cache', 'atrium-cluster')
  const path = join(cache, version, 'bin', name)
  return existsSync(path) ? path : undefined
}

/** What a program said. */
export interface Ran {
  readonly status: number
  readonly stdout: string
  readonly stderr: string
}

/** Runs a program to its end. */
export function runProgram(
  program: string,
  args: readonly string[],
  options: { readonly input?: string; readonly environment?: Readonly<Record<string, string>> } = {},
): Ran {
  const { status, stdout, stderr, error } = spawnSync(program, args, {
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
    env: { ...process.env, ...options.environment },
    ...(options.input === undefined ? {} : { input: options.input }),
  })
  if (error !== undefined) throw error
  return { status: status ?? 1, stdout, stderr }
}

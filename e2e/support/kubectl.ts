// kubectl and helm as a person runs them, on the cluster that KUBECONFIG names. Every test on a cluster uses it.
import { spawn, spawnSync } from 'node:child_process'
import { clusterProgram } from '../../test/support/cluster-programs.ts'

export const KUBECTL = clusterProgram('kubectl') ?? 'kubectl'
export const HELM = clusterProgram('helm') ?? 'helm'

/** Runs kubectl and returns what it printed. Throws what it complained of. */
export function kubectl(args: readonly string[], input?: string): string {
  return run(KUBECTL, args, input)
}

/** Runs helm likewise. */
export function helm(args: readonly string[], input?: string): string {
  return run(HELM, args, input)
}

/** What `kubectl get -o json` says. */
export function get<Value>(...args: readonly string[]): Value {
  return JSON.parse(kubectl(['get', '-o', 'json', ...args])) as Value
}

/** Applies YAML or JSON text. */
export function apply(text: string): void {
  kubectl(['apply', '-f', '-'], text)
}

/** Runs kubectl; its status, and what it printed and complained of. */
export function tryKubectl(args: readonly string[], input?: string) {
  const { status, stdout, stderr } = spawnSync(KUBECTL, args, {
    encoding: 'utf8',
    ...(input === undefined ? {} : { input }),
  })
  return { status, stdout, stderr }
}

/** kubectl in the background; `stop` ends it. Resolves with the first line that it prints. */
export async function kubectlInBackground(args: readonly string[]): Promise<{ readonly line: string; stop(): void }> {
  const child = spawn(KUBECTL, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  const line = await new Promise<string>((resolve, reject) => {
    let text = ''
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk
      const end = text.indexOf('\n')
      if (end !== -1) resolve(text.slice(0, end))
    })
    child.on('error', reject)
    child.on('exit', () => reject(new Error(`kubectl ${args.join(' ')} ended`)))
  })
  return { line, stop: () => void child.kill() }
}

function run(program: string, args: readonly string[], input: string | undefined): string {
  const { status, stdout, stderr, error } = spawnSync(program, args, {
    encoding: 'utf8',
    maxBuffer: 256 * 1024 * 1024,
    ...(input === undefined ? {} : { input }),
  })
  if (error !== undefined) throw error
  if (status !== 0) throw new Error(`${args.slice(0, 6).join(' ')}: ${stderr.trim() || stdout.trim()}`)
  return stdout
}

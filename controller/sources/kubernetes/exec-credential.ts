// Credentials from a program (client.authentication.k8s.io): cloud logins, above all. Runs it, reads the ExecCredential
// that it prints. kubeconfig.ts calls it when the last one has ended or was refused.
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { Hidden } from '../../../model/hidden.ts'
import { ApiFailure, codeOf } from './api-failure.ts'
import type { Access, ApiServer } from './access.ts'
import { isRecord, type RawRecord, recordIn, textIn } from './raw.ts'

const TIMEOUT_MS = 60_000
const MAX_OUTPUT = 1024 * 1024
/** A credential is renewed this long before it ends, in milliseconds. */
const EARLY_MS = 30_000

/** What the program may be told. */
export interface ExecContext {
  readonly server: ApiServer
  readonly ca: string | undefined
  readonly environment: Readonly<Record<string, string | undefined>>
}

/** Runs the program of `exec`. A credential without an end is used until a 401. Rejects with ApiFailure. */
export async function readExecCredential(
  exec: RawRecord,
  folder: string,
  context: ExecContext,
): Promise<{ access: Access; until: number }> {
  const command = textIn(exec, 'command')
  const apiVersion = textIn(exec, 'apiVersion')
  if (command === '') throw new ApiFailure('credentials', 'exec of the kubeconfig names no command')
  const program = command.includes('/') && !command.startsWith('/') ? join(folder, command) : command
  const args = Array.isArray(exec['args']) ? exec['args'].map(String) : []
  const extra = Array.isArray(exec['env']) ? exec['env'].filter(isRecord) : []
  const env: Record<string, string | undefined> = { ...context.environment }
  for (const entry of extra) env[textIn(entry, 'name')] = textIn(entry, 'value')
  const { server, ca } = context
  const cluster = {
    server: `https://${server.host.includes(':') ? `[${server.host}]` : server.host}:${server.port}${server.path}`,
    ...(server.serverName === undefined ? {} : { 'tls-server-name': server.serverName }),
    ...(ca === undefined ? {} : { 'certificate-authority-data': Buffer.from(ca).toString('base64') }),
  }
  env['KUBERNETES_EXEC_INFO'] = JSON.stringify({
    apiVersion,
    kind: 'ExecCredential',
    spec: { interactive: false, ...(exec['provideClusterInfo'] === true ? { cluster } : {}) },
  })
  return readStatus(await run(program, args, env), program)
}

function run(program: string, args: readonly string[], env: Record<string, string | undefined>): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile(program, args, { env, timeout: TIMEOUT_MS, maxBuffer: MAX_OUTPUT }, (error, stdout) => {
      // The error's own message holds the arguments and what was printed: either may be a secret.
      if (error === null) resolve(stdout)
      else reject(new ApiFailure('credentials', `${program} of the kubeconfig failed (${codeOf(error)})`))
    })
  })
}

function readStatus(output: string, program: string): { access: Access; until: number } {
  let printed: unknown
  try {
    printed = JSON.parse(output)
  } catch {
    throw new ApiFailure('credentials', `${program} of the kubeconfig printed no JSON`)
  }
  const status = isRecord(printed) ? recordIn(printed, 'status') : {}
  const token = textIn(status, 'token')
  const certificate = textIn(status, 'clientCertificateData')
  const key = textIn(status, 'clientKeyData')
  if (token === '' && certificate === '') {
    throw new ApiFailure('credentials', `${program} of the kubeconfig gave neither token nor certificate`)
  }
  const ends = Date.parse(textIn(status, 'expirationTimestamp'))
  return {
    access: {
      ...(token === '' ? {} : { token: new Hidden(token) }),
      ...(certificate === '' ? {} : { certificate }),
      ...(key === '' ? {} : { key: new Hidden(key) }),
    },
    until: Number.isNaN(ends) ? Number.POSITIVE_INFINITY : performance.now() + (ends - Date.now() - EARLY_MS),
  }
}

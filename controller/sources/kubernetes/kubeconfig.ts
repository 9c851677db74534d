// Credentials from a kubeconfig: certificates, tokens, token files, exec plugins. Read by ourselves with the YAML parser
// that is here anyway: @kubernetes/client-node would add 62 MB, 85 MB of memory and 0.45 s for these 150 lines, and never
// reads an exec credential again after a 401. loadCredentials calls it.
import { homedir } from 'node:os'
import { delimiter, dirname, isAbsolute, join } from 'node:path'
import { parse } from 'yaml'
import { Hidden } from '../../../model/hidden.ts'
import type { Access, ApiServer, Credentials } from './access.ts'
import { ApiFailure } from './api-failure.ts'
import { readText } from './credential-file.ts'
import { readExecCredential } from './exec-credential.ts'
import { isRecord, type RawRecord, recordIn, textIn } from './raw.ts'
import { RenewedAccess } from './renewed-access.ts'

/** How often files and tokens of a kubeconfig are read again without need, in milliseconds. */
const READ_AGAIN_MS = 60_000

interface Entry {
  readonly value: RawRecord
  /** Relative paths start at the folder of their file. */
  readonly folder: string
}

/** Reads a kubeconfig. Rejects with ApiFailure, in one sentence and without any content, where it cannot be used. */
export async function readKubeconfig(
  path: string | undefined,
  wanted: string | undefined,
  environment: Readonly<Record<string, string | undefined>>,
): Promise<Credentials> {
  const given = path ?? environment['KUBECONFIG'] ?? ''
  const paths =
    given === '' ? [join(homedir(), '.kube', 'config')] : given.split(delimiter).filter((each) => each !== '')
  const files: { folder: string; content: RawRecord }[] = []
  for (const each of paths) {
    // kubectl skips what is missing from a list, and so do we; a single file must be there.
    if (paths.length > 1 && (await readText(each).catch(() => undefined)) === undefined) continue
    files.push({ folder: dirname(each), content: parseFile(each, await readText(each)) })
  }
  const current = wanted ?? files.map(({ content }) => textIn(content, 'current-context')).find(Boolean) ?? ''
  if (current === '') throw refuse('the kubeconfig has no current context')
  const find = (list: string, field: string, name: string): Entry => {
    for (const { folder, content } of files) {
      const entries = content[list]
      for (const entry of Array.isArray(entries) ? entries : []) {
        if (isRecord(entry) && entry['name'] === name) return { value: recordIn(entry, field), folder }
      }
    }
    throw refuse(`the kubeconfig has no ${field} ${JSON.stringify(name)}`)
  }
  const context = find('contexts', 'context', current).value
  const cluster = find('clusters', 'cluster', textIn(context, 'cluster'))
  const user = find('users', 'user', textIn(context, 'user'))
  const server = serverOf(cluster.value)
  const renewed = new RenewedAccess(() => readAccess(cluster, user, server, environment))
  await renewed.get()
  return {
    server,
    namespace: textIn(context, 'namespace') || 'default',
    access: (refused) => renewed.get(refused),
  }
}

function parseFile(path: string, text: string): RawRecord {
  try {
    const content: unknown = parse(text)
    if (isRecord(content)) return content
  } catch {
    // The parser's message quotes the text, which may be a key.
  }
  throw refuse(`${path} is no kubeconfig`)
}

function serverOf(cluster: RawRecord): ApiServer {
  const text = textIn(cluster, 'server')
  if (!URL.canParse(text)) throw refuse('the server of the kubeconfig is no URL')
  const url = new URL(text)
  if (url.protocol !== 'https:')
    throw refuse(`the server of the kubeconfig is ${url.protocol}//, only https:// is used`)
  if (cluster['insecure-skip-tls-verify'] === true) {
    throw refuse('insecure-skip-tls-verify is not supported: name the authority in certificate-authority-data')
  }
  if (textIn(cluster, 'proxy-url') !== '') throw refuse('proxy-url is not supported')
  const serverName = textIn(cluster, 'tls-server-name')
  return {
    host: url.hostname.replace(/^\[|\]$/g, ''),
    port: url.port === '' ? 443 : Number(url.port),
    path: url.pathname.replace(/\/+$/, ''),
    ...(serverName === '' ? {} : { serverName }),
  }
}

async function readAccess(
  cluster: Entry,
  user: Entry,
  server: ApiServer,
  environment: Readonly<Record<string, string | undefined>>,
): Promise<{ access: Access; until: number }> {
  for (const field of ['auth-provider', 'as', 'username']) {
    if (user.value[field] !== undefined)
      throw refuse(`${field} of the kubeconfig is not supported; use exec or a token`)
  }
  const ca = await dataOrFile(cluster, 'certificate-authority')
  const base: Access = ca === undefined ? {} : { ca }
  const exec = user.value['exec']
  if (isRecord(exec)) {
    const { access, until } = await readExecCredential(exec, user.folder, { server, ca, environment })
    return { access: { ...base, ...access }, until }
  }
  const certificate = await dataOrFile(user, 'client-certificate')
  const key = await dataOrFile(user, 'client-key')
  const tokenFile = textIn(user.value, 'tokenFile')
  const token = tokenFile === '' ? textIn(user.value, 'token') : (await readText(resolve(user, tokenFile))).trim()
  return {
    access: {
      ...base,
      ...(certificate === undefined ? {} : { certificate }),
      ...(key === undefined ? {} : { key: new Hidden(key) }),
      ...(token === '' ? {} : { token: new Hidden(token) }),
    },
    until: performance.now() + READ_AGAIN_MS,
  }
}

async function dataOrFile(entry: Entry, field: string): Promise<string | undefined> {
  const data = textIn(entry.value, `${field}-data`)
  if (data !== '') return Buffer.from(data, 'base64').toString('utf8')
  const path = textIn(entry.value, field)
  return path === '' ? undefined : readText(resolve(entry, path))
}

function resolve(entry: Entry, path: string): string {
  return isAbsolute(path) ? path : join(entry.folder, path)
}

function refuse(message: string): ApiFailure {
  return new ApiFailure('credentials', message)
}

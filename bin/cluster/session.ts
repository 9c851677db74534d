// A conversation with the controller's API: by an address and a token, or through the API server of a kubeconfig, with a
// port forwarded to a controller pod and a short token asked for. Verbs get JSON, or a failure that is an exit code.
import type { Duplex } from 'node:stream'
import { request as httpsRequest, type RequestOptions } from 'node:https'
import { readFile } from 'node:fs/promises'
import { connect as connectTls } from 'node:tls'
import { CommandFailure, EXIT_CODES, usageFailure } from '../exit.ts'
import type { ServerFlags } from './flags.ts'
import { forward } from './forward.ts'
import { failureOf, type Kubernetes, openKubernetes, releasePods, wordsOf } from './kubernetes.ts'

/** An open conversation. */
export interface Session {
  /** How the server is reached, for people: an address, or a pod. */
  readonly place: string
  /** JSON of a GET, or of a POST where there is a body. Fails with 3 or 4. */
  json(path: string, body?: unknown): Promise<unknown>
  /** The body as text. */
  text(path: string): Promise<string>
  close(): void
}

/** How one request gets its connection. */
interface Route {
  readonly place: string
  readonly token: string
  /** Options of each request. */
  connect(): Promise<RequestOptions>
  close(): void
}

const API_PORT = 9_943
const AUDIENCE = 'atrium-console'
const TOKEN_SECONDS = 600
const MAX_ANSWER = 256 * 1024 * 1024

/** Opens a conversation, by the first way that was given. */
export async function openSession(flags: ServerFlags): Promise<Session> {
  const route = flags.server === undefined ? await routeByCluster(flags) : await routeByAddress(flags, flags.server)
  const text = async (path: string, body?: unknown) => await call(route, path, body, flags.timeout)
  return {
    place: route.place,
    text,
    async json(path, body) {
      const answer = await text(path, body)
      try {
        return JSON.parse(answer) as unknown
      } catch {
        throw new CommandFailure(EXIT_CODES.unreachable, `${route.place} answers something that is no JSON`)
      }
    },
    close: () => route.close(),
  }
}

async function routeByAddress(flags: ServerFlags, server: string): Promise<Route> {
  if (!URL.canParse(server) || new URL(server).protocol !== 'https:') {
    throw usageFailure(`--server is an address such as https://atrium.example.com; ${server} is none.`)
  }
  if (flags.token === undefined) {
    throw usageFailure(`Give a token for the audience ${AUDIENCE}: ATRIUM_TOKEN, or --token.`)
  }
  const ca = flags.caFile === undefined ? undefined : await readFile(flags.caFile, 'utf8').catch(() => undefined)
  if (flags.caFile !== undefined && ca === undefined) throw usageFailure(`--ca-file: ${flags.caFile} cannot be read.`)
  const { hostname, port } = new URL(server)
  return {
    place: server,
    token: flags.token,
    connect: () =>
      Promise.resolve({
        host: hostname.replace(/^\[|\]$/g, ''),
        port: port === '' ? 443 : Number(port),
        agent: false,
        ...(ca === undefined ? {} : { ca }),
      }),
    close: () => undefined,
  }
}

async function routeByCluster(flags: ServerFlags): Promise<Route> {
  const kubernetes = await openKubernetes(flags)
  try {
    const { releaseNamespace: namespace, release } = flags
    const pod = await controllerPod(kubernetes, flags)
    const [token, bundle] = await Promise.all([
      flags.token ?? askToken(kubernetes, flags),
      kubernetes.read(`/api/v1/namespaces/${namespace}/configmaps/${release}-ca`),
    ])
    const ca: unknown = Object(Object(bundle).data)['ca.crt']
    if (typeof ca !== 'string') {
      throw new CommandFailure(
        EXIT_CODES.unreachable,
        `ConfigMap ${namespace}/${release}-ca is not there (--release, --release-namespace)`,
      )
    }
    const servername = `${release}-api.${namespace}.svc`
    return {
      place: `${namespace}/${pod}`,
      token,
      async connect() {
        const stream = await forward(kubernetes.credentials, { namespace, pod, port: API_PORT }, flags.timeout)
        const socket = await secure(stream, { ca, servername })
        return { createConnection: () => socket, headers: { host: servername } }
      },
      close: () => kubernetes.close(),
    }
  } catch (error) {
    kubernetes.close()
    throw error
  }
}

/** TLS over a stream. */
function secure(stream: Duplex, options: { readonly ca: string; readonly servername: string }): Promise<Duplex> {
  return new Promise((resolve, reject) => {
    const socket = connectTls({ socket: stream, ...options }, () => resolve(socket))
    socket.once('error', (error) => {
      reject(new CommandFailure(EXIT_CODES.unreachable, `${options.servername}: ${error.message}`))
    })
  })
}

/** The pod that leads, else any that is ready. */
async function controllerPod(kubernetes: Kubernetes, flags: ServerFlags): Promise<string> {
  const pods = (await releasePods(kubernetes, flags, 'controller')).filter(({ ready }) => ready)
  if (pods.length === 0) {
    const where = `namespace ${flags.releaseNamespace}`
    throw new CommandFailure(EXIT_CODES.unreachable, `no controller is ready in ${where} (--release-namespace)`)
  }
  const path = `/apis/coordination.k8s.io/v1/namespaces/${flags.releaseNamespace}/leases/${flags.release}-controller`
  const { status, body } = await kubernetes.ask({ path })
  const holder: unknown = status === 200 ? Object(Object(body).spec).holderIdentity : undefined
  const leader = pods.find(({ name }) => typeof holder === 'string' && holder.startsWith(`${name}_`))
  return (leader ?? pods[0])?.name ?? ''
}

async function askToken(kubernetes: Kubernetes, flags: ServerFlags): Promise<string> {
  const account = flags.serviceAccount ?? `${flags.release}-cli`
  const path = `/api/v1/namespaces/${flags.releaseNamespace}/serviceaccounts/${account}/token`
  const { status, body } = await kubernetes.ask({
    method: 'POST',
    path,
    body: {
      kind: 'TokenRequest',
      apiVersion: 'authentication.k8s.io/v1',
      spec: { audiences: [AUDIENCE], expirationSeconds: TOKEN_SECONDS },
    },
  })
  const token: unknown = Object(Object(body).status).token
  if (status === 201 && typeof token === 'string') return token
  if (status === 404) {
    throw new CommandFailure(
      EXIT_CODES.notAllowed,
      `there is no ServiceAccount ${account} in ${flags.releaseNamespace} (--service-account)`,
    )
  }
  throw failureOf(status, `ask for a token of ServiceAccount ${flags.releaseNamespace}/${account}`)
}

async function call(route: Route, path: string, body: unknown, timeoutMs: number): Promise<string> {
  const options = await route.connect()
  const sent = body === undefined ? undefined : JSON.stringify(body)
  return await new Promise<string>((resolve, reject) => {
    const fail = (error: unknown) => {
      reject(new CommandFailure(EXIT_CODES.unreachable, `${route.place} does not answer: ${wordsOf(error)}`))
    }
    const request = httpsRequest(
      {
        ...options,
        method: sent === undefined ? 'GET' : 'POST',
        path,
        headers: {
          ...options.headers,
          authorization: `Bearer ${route.token}`,
          accept: 'application/json',
          ...(sent === undefined ? {} : { 'content-type': 'application/json' }),
        },
        timeout: timeoutMs,
      },
      (response) => {
        const parts: Buffer[] = []
        let length = 0
        response.on('data', (part: Buffer) => {
          parts.push(part)
          length += part.length
          if (length > MAX_ANSWER) response.destroy(new Error('the answer is too large'))
        })
        response.on('error', fail)
        response.on('end', () => {
          const answer = Buffer.concat(parts, length).toString('utf8')
          const status = response.statusCode ?? 0
          if (status === 200) resolve(answer)
          else reject(refusal(route.place, status, answer))
        })
      },
    )
    request.on('timeout', () => request.destroy(new Error(`nothing came for ${timeoutMs} ms`)))
    request.on('error', fail)
    request.end(sent)
  })
}

function refusal(place: string, status: number, answer: string): CommandFailure {
  let message: unknown
  try {
    message = Object(JSON.parse(answer)).message
  } catch {
    // Whoever answers no JSON is not the API; its status says enough.
  }
  const code =
    status === 401 || status === 403
      ? EXIT_CODES.notAllowed
      : status === 400
        ? EXIT_CODES.usage
        : status === 404
          ? EXIT_CODES.no
          : EXIT_CODES.unreachable
  return new CommandFailure(code, typeof message === 'string' ? `${place}: ${message}` : `${place} answered ${status}`)
}

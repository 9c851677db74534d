// What `atrium curl` does once its flags are read: finds a dataplane pod, forwards its port, sends the request over it.
import { readFile } from 'node:fs/promises'
import { type ClientRequest, type IncomingMessage, request as httpRequest } from 'node:http'
import type { Duplex } from 'node:stream'
import { connect as connectTls, rootCertificates } from 'node:tls'
import { printable } from '../../controller/report/printable.ts'
import { CommandFailure, EXIT_CODES, usageFailure } from '../exit.ts'
import type { Terminal } from '../terminal.ts'
import type { CurlRequest } from './curl-request.ts'
import { forward } from './forward.ts'
import { openKubernetes, releasePods, wordsOf } from './kubernetes.ts'

const PORTS: Readonly<Record<string, number>> = { 'http:': 8_080, 'https:': 8_443 }

/** Sends it; the exit code. */
export async function curl(wanted: CurlRequest, terminal: Terminal): Promise<number> {
  const { url, timeout } = wanted
  const body = await bodyOf(wanted.data)
  const kubernetes = await openKubernetes(wanted)
  try {
    const pod = wanted.pod ?? (await somePod(kubernetes, wanted))
    const started = performance.now()
    const port = PORTS[url.protocol] ?? 8_080
    const stream = await forward(kubernetes.credentials, { namespace: wanted.releaseNamespace, pod, port }, timeout)
    try {
      const connection = url.protocol === 'https:' ? await handshake(stream, wanted) : stream
      const response = await send(connection, wanted, body)
      const took = performance.now() - started
      terminal.note(headLine(response, pod, took))
      if (terminal.verbose) for (const line of fieldLines(response)) terminal.detail(printable(line))
      for await (const part of response as AsyncIterable<Buffer>) process.stdout.write(part)
      if (terminal.verbose) {
        const { wayLines } = await import('./curl-way.ts')
        for (const line of await wayLines(kubernetes, { wanted, pod, response, started })) terminal.detail(line)
      }
      const refused = (response.statusCode ?? 0) >= 400
      return wanted.fail === true && refused ? EXIT_CODES.no : EXIT_CODES.done
    } finally {
      stream.destroy()
    }
  } finally {
    kubernetes.close()
  }
}

async function somePod(kubernetes: Parameters<typeof releasePods>[0], wanted: CurlRequest): Promise<string> {
  const pod = (await releasePods(kubernetes, wanted, 'dataplane')).find(({ ready }) => ready)
  if (pod !== undefined) return pod.name
  const where = `namespace ${wanted.releaseNamespace}`
  throw new CommandFailure(EXIT_CODES.unreachable, `no dataplane pod is ready in ${where} (--release-namespace)`)
}

async function handshake(stream: Duplex, { url, insecure, cacert, timeout }: CurlRequest): Promise<Duplex> {
  const authorities = await Promise.all((cacert ?? []).map(async (file) => await readAuthority(file)))
  return await new Promise<Duplex>((resolve, reject) => {
    const timer = setTimeout(() => socket.destroy(new Error(`no handshake within ${timeout} ms`)), timeout)
    const socket = connectTls(
      {
        socket: stream,
        servername: url.hostname,
        rejectUnauthorized: insecure !== true,
        ALPNProtocols: ['http/1.1'],
        ...(authorities.length === 0 ? {} : { ca: [...rootCertificates, ...authorities] }),
      },
      () => {
        clearTimeout(timer)
        resolve(socket)
      },
    )
    socket.once('error', (error) => {
      clearTimeout(timer)
      reject(
        new CommandFailure(EXIT_CODES.unreachable, `TLS with ${url.hostname}: ${handshakeText(error, url, insecure)}`),
      )
    })
  })
}

function handshakeText(error: Error & { readonly code?: string }, url: URL, insecure: boolean | undefined): string {
  if (error.code === 'ERR_SSL_SSL/TLS_ALERT_HANDSHAKE_FAILURE') {
    return `the gateway ended the handshake, as it does for a host without a certificate; atrium explain --url ${url.href}`
  }
  return `${error.message}${insecure === true ? '' : ' (-k goes on all the same)'}`
}

function send(connection: Duplex, wanted: CurlRequest, body: Buffer | undefined): Promise<IncomingMessage> {
  const { url, request, header = [], timeout } = wanted
  return new Promise((resolve, reject) => {
    const sent: ClientRequest = httpRequest(
      {
        createConnection: () => connection,
        setHost: false,
        method: request ?? (body === undefined ? 'GET' : 'POST'),
        path: `${url.pathname}${url.search}`,
        headers: headersOf(url, header, body),
      },
      (response) => {
        clearTimeout(timer)
        resolve(response)
      },
    )
    const timer = setTimeout(() => sent.destroy(new Error(`no answer within ${timeout} ms`)), timeout)
    sent.once('error', (error) => {
      clearTimeout(timer)
      reject(new CommandFailure(EXIT_CODES.unreachable, `${url.host}: ${wordsOf(error)}`))
    })
    sent.end(body)
  })
}

/** As pairs of name and value, so that a name may come twice. */
function headersOf(url: URL, given: readonly { name: string; value: string }[], body: Buffer | undefined): string[] {
  const names = new Set(given.map(({ name }) => name.toLowerCase()))
  const own: readonly (readonly [string, string])[] = [
    ['Host', url.host],
    ['User-Agent', 'atrium-curl'],
    ['Accept', '*/*'],
    ...(body === undefined ? [] : [['Content-Length', String(body.length)] as const]),
    ['Connection', 'close'],
  ]
  return [
    ...own.filter(([name]) => !names.has(name.toLowerCase())).flat(),
    ...given.flatMap(({ name, value }) => [name, value]),
  ]
}

function headLine(
  { httpVersion, statusCode, statusMessage, headers }: IncomingMessage,
  pod: string,
  took: number,
): string {
  const reason = headers['x-atrium-error']
  const why = typeof reason === 'string' ? `   ${reason}` : ''
  return `HTTP/${httpVersion} ${statusCode} ${statusMessage}   via ${pod} in ${Math.round(took)} ms${why}`
}

function fieldLines({ rawHeaders }: IncomingMessage): readonly string[] {
  return rawHeaders.flatMap((name, index) => (index % 2 === 0 ? [`${name}: ${rawHeaders[index + 1] ?? ''}`] : []))
}

async function bodyOf(data: string | undefined): Promise<Buffer | undefined> {
  if (data === undefined) return undefined
  if (!data.startsWith('@')) return Buffer.from(data)
  return await readFile(data.slice(1)).catch(() => {
    throw usageFailure(`--data: ${data.slice(1)} cannot be read.`)
  })
}

async function readAuthority(file: string): Promise<string> {
  return await readFile(file, 'utf8').catch(() => {
    throw usageFailure(`--cacert: ${file} cannot be read.`)
  })
}

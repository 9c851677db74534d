// The client and its credentials: what is sent, what comes back, what is tried again, and that nothing secret is told.
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:https'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { TLSSocket } from 'node:tls'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { sleep } from '../../../test/contracts/source.ts'
import { makeCa, makeLeaf, type TestCa } from '../../../test/support/certificates.ts'
import { stalledListener } from '../../../test/support/stalled-listener.ts'
import type { Credentials } from './access.ts'
import { ApiFailure } from './api-failure.ts'
import { type ApiClient, createApiClient } from './client.ts'
import { loadCredentials } from './credentials.ts'
import { readInCluster } from './in-cluster.ts'
import { LineSplitter } from './line-splitter.ts'

type Handler = (request: IncomingMessage, response: ServerResponse, body: string) => void

let ca: TestCa
let server: Server
let handler: Handler
let folder: string
let client: ApiClient | undefined
let connections = 0
const seen: { method: string; url: string; headers: IncomingMessage['headers']; body: string; client: string }[] = []

beforeEach(async () => {
  ca = await makeCa()
  const leaf = await makeLeaf(ca, { names: ['localhost'] })
  folder = await mkdtemp(join(tmpdir(), 'atrium-client-'))
  handler = (_request, response) => response.end('{}')
  seen.length = 0
  connections = 0
  server = createServer(
    { cert: leaf.certPem, key: leaf.keyPem, ca: ca.pem, requestCert: true, rejectUnauthorized: false },
    (request, response) => {
      const pieces: Buffer[] = []
      request.on('data', (piece: Buffer) => pieces.push(piece))
      request.on('end', () => {
        const body = Buffer.concat(pieces).toString()
        const { method = '', url = '', headers, socket } = request
        const name = socket instanceof TLSSocket ? Object(socket.getPeerCertificate().subject).CN : undefined
        seen.push({ method, url, headers, body, client: String(name ?? '') })
        handler(request, response, body)
      })
    },
  )
  server.on('secureConnection', () => connections++)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  await writeFile(join(folder, 'ca.crt'), ca.pem)
  await writeFile(join(folder, 'token'), 'token-one\n')
  await writeFile(join(folder, 'namespace'), 'here')
})
afterEach(async () => {
  client?.close()
  client = undefined
  server.closeAllConnections()
  await new Promise((resolve) => server.close(resolve))
  await rm(folder, { recursive: true, force: true })
})

const port = () => (server.address() as AddressInfo).port
const inCluster = (readAgainMs?: number): Promise<Credentials> =>
  readInCluster({ host: 'localhost', port: port(), folder, ...(readAgainMs === undefined ? {} : { readAgainMs }) })
async function connect(credentials?: Credentials): Promise<ApiClient> {
  client = createApiClient({ credentials: credentials ?? (await inCluster()) })
  return client
}
const failure = async (promise: Promise<unknown>): Promise<ApiFailure> => {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  if (error instanceof ApiFailure) return error
  throw new Error(`no failure but ${String(error)}`)
}

describe('calls', () => {
  test('carry token, query and body, and come back as JSON whatever the status', async () => {
    handler = (_request, response, body) => {
      response.statusCode = 409
      response.end(body)
    }
    const { namespace, request } = await bound()
    const response = await request({
      method: 'PATCH',
      path: '/api/v1/x',
      query: { fieldManager: 'me', force: true, none: undefined },
      body: { a: 1 },
      contentType: 'application/merge-patch+json',
    })
    expect(namespace).toBe('here')
    expect(response).toMatchObject({ status: 409, body: { a: 1 } })
    expect(seen[0]).toMatchObject({ method: 'PATCH', url: '/api/v1/x?fieldManager=me&force=true', body: '{"a":1}' })
    expect(seen[0]?.headers).toMatchObject({
      authorization: 'Bearer token-one',
      'content-type': 'application/merge-patch+json',
    })
  })

  test('share a connection', async () => {
    const { request } = await bound()
    for (let index = 0; index < 20; index++) await request({ path: '/' })
    expect(connections).toBe(1)
    await request({ path: '/', freshConnection: true })
    expect(connections).toBe(2)
  })

  test('are tried again where the server closed the idle connection', async () => {
    server.keepAliveTimeout = 1
    const { request } = await bound()
    for (let index = 0; index < 30; index++) {
      expect((await request({ path: '/' })).status).toBe(200)
      await sleep(index % 3)
    }
  })

  test('end in time, by size and when given up', async () => {
    handler = (_request, response) => {
      response.write('{"a":"')
      response.write('x'.repeat(5_000))
    }
    const { request } = await bound()
    expect((await failure(request({ path: '/', timeoutMs: 50 }))).kind).toBe('timeout')
    expect((await failure(request({ path: '/', maxBytes: 1_000 }))).kind).toBe('tooLarge')
    const abort = new AbortController()
    const pending = failure(request({ path: '/', signal: abort.signal }))
    await sleep(20)
    abort.abort()
    expect((await pending).kind).toBe('aborted')
  })

  test('tell a half answer from a whole one, and an error page from JSON', async () => {
    handler = (_request, response) => response.end('{"items":[')
    const { request } = await bound()
    expect((await failure(request({ path: '/' }))).kind).toBe('unreadable')
    handler = (_request, response) => {
      response.statusCode = 502
      response.end('<html>')
    }
    expect(await request({ path: '/' })).toMatchObject({ status: 502, body: undefined })
    handler = (_request, response) => {
      response.writeHead(200, { 'content-length': '100' })
      response.write('{}')
      setTimeout(() => response.destroy(), 10)
    }
    expect((await failure(request({ path: '/' }))).kind).toBe('network')
  })

  test('wait as long as they are told, while their patience lasts', async () => {
    let answers = 0
    handler = (_request, response) => {
      if (++answers > 2) return response.end('{}')
      response.writeHead(answers === 1 ? 429 : 503, { 'retry-after': answers === 1 ? '0' : new Date().toUTCString() })
      return response.end()
    }
    const { request } = await bound()
    expect((await request({ path: '/', patienceMs: 5_000 })).status).toBe(200)
    answers = -1_000
    handler = (_request, response) => {
      response.writeHead(429, { 'retry-after': '7' })
      response.end()
    }
    expect(await request({ path: '/' })).toMatchObject({ status: 429, retryAfterMs: 7_000 })
  })

  test('trust only the authority of the credentials', async () => {
    const stranger = await makeCa('stranger')
    await writeFile(join(folder, 'ca.crt'), stranger.pem)
    const { request } = await bound()
    const error = await failure(request({ path: '/' }))
    expect(error.kind).toBe('network')
    expect(seen).toEqual([])
  })

  test('do not wait longer and longer for a server whose kernel says nothing', async () => {
    const stalled = await stalledListener()
    try {
      const api = await connect(await readInCluster({ host: '127.0.0.1', port: stalled.port, folder }))
      const [first, second] = await Promise.all([
        failure(api.request({ path: '/a' })),
        failure(api.request({ path: '/b', shared: true })),
      ])
      for (const { kind, message } of [first, second])
        expect([kind, message]).toEqual(['timeout', expect.stringContaining('did not connect in 3000 ms')])
    } finally {
      stalled.close()
    }
  })

  test('take the types that the API server has', async () => {
    await (await connect()).request({ path: '/openid/v1/jwks' })
    expect(seen[0]?.headers.accept).toBe('application/json, application/jwk-set+json')
  })

  test('say nothing secret when they fail', async () => {
    server.closeAllConnections()
    await writeFile(join(folder, 'token'), 'top-secret-token')
    const { request } = await bound()
    handler = (_request, response) => response.destroy()
    const error = await failure(request({ method: 'POST', path: '/x?y=1', body: { password: 'hunter2' } }))
    const told = `${error.message} ${error.stack} ${JSON.stringify(error)} ${String(error.cause)}`
    expect(told).not.toMatch(/top-secret|hunter2|Bearer/)
  })

  async function bound() {
    const made = await connect()
    return { namespace: made.namespace, request: made.request.bind(made) }
  }
})

describe('watches', () => {
  test('give whole lines, however they are cut, and tell a proper end from a cut', async () => {
    handler = (_request, response) => {
      const text = Buffer.from('{"a":"ä€"}\n\n{"b":2}\n{"c"')
      for (const byte of text) response.write(Buffer.from([byte]))
      setTimeout(() => response.end(), 20)
    }
    const made = await connect()
    const lines: string[] = []
    const end = await new Promise<ApiFailure | undefined>((resolve, reject) => {
      made.watch({ path: '/', onLine: (line) => lines.push(line), onEnd: resolve }).catch(reject)
    })
    expect(lines).toEqual(['{"a":"ä€"}', '{"b":2}'])
    expect(end?.message).toContain('cut in the middle')
  })

  test('end when closed, and are refused with the answer', async () => {
    handler = (_request, response) => {
      response.write('{"a":1}\n')
    }
    const made = await connect()
    let ended: ApiFailure | undefined
    const answer = await made.watch({
      path: '/',
      onLine: () => undefined,
      onEnd: (failed) => {
        ended = failed
      },
    })
    expect(answer.open).toBe(true)
    if (answer.open) answer.close()
    await sleep(20)
    expect(ended?.kind).toBe('aborted')
    handler = (_request, response) => {
      response.statusCode = 410
      response.end('{"code":410}')
    }
    const refused = await made.watch({ path: '/', onLine: () => undefined, onEnd: () => undefined })
    expect(refused).toMatchObject({ open: false, response: { status: 410, body: { code: 410 } } })
  })

  test('a line is bounded', () => {
    const lines = new LineSplitter(10)
    expect(lines.push(Buffer.from('12345\n123'))).toEqual(['12345'])
    expect(lines.held).toBe(3)
    expect(lines.push(Buffer.from('12345678'))).toBeUndefined()
    expect(new LineSplitter(3).push(Buffer.from('1234\n'))).toBeUndefined()
  })
})

describe('credentials', () => {
  test('of a pod are read again after a 401, once for all', async () => {
    handler = (request, response) => {
      response.statusCode = request.headers.authorization === 'Bearer token-two' ? 200 : 401
      response.end('{}')
    }
    const made = await connect()
    await writeFile(join(folder, 'token'), 'token-two')
    const answers = await Promise.all([1, 2, 3].map(() => made.request({ path: '/' })))
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200])
    handler = (_request, response) => {
      response.statusCode = 401
      response.end()
    }
    seen.length = 0
    expect((await made.request({ path: '/' })).status).toBe(401)
    expect(seen).toHaveLength(2)
  })

  test('of a pod are read again before they end', async () => {
    const made = await connect(await inCluster(0))
    await writeFile(join(folder, 'token'), 'token-two')
    await made.request({ path: '/' })
    expect(seen[0]?.headers.authorization).toBe('Bearer token-two')
    // A file that cannot be read leaves what was read.
    await rm(join(folder, 'token'))
    expect((await made.request({ path: '/' })).status).toBe(200)
  })

  test('of a kubeconfig: data, files beside it, contexts', async () => {
    const leaf = await makeLeaf(ca, { usage: 'client', commonName: 'somebody' })
    await writeFile(join(folder, 'client.crt'), leaf.certPem)
    await writeFile(join(folder, 'client.key'), leaf.keyPem)
    await kubeconfig({ 'client-certificate': 'client.crt', 'client-key': 'client.key' })
    const made = await connect(await loadCredentials({ kubeconfig: join(folder, 'config') }))
    expect(made.namespace).toBe('team')
    await made.request({ path: '/x' })
    expect(seen[0]).toMatchObject({ client: 'somebody', url: '/base/x' })
    await kubeconfig({ tokenFile: 'token' })
    const other = createApiClient({
      credentials: await loadCredentials({ environment: { KUBECONFIG: `/nowhere:${join(folder, 'config')}` } }),
    })
    await other.request({ path: '/y' })
    other.close()
    expect(seen[1]).toMatchObject({ client: '', url: '/base/y' })
    expect(seen[1]?.headers.authorization).toBe('Bearer token-one')
  })

  test('of a program are asked for again when they end or are refused', async () => {
    const script = join(folder, 'login.sh')
    await writeFile(
      script,
      `#!/bin/sh
n=$(cat "${folder}/count" 2>/dev/null || echo 0); n=$((n + 1)); echo $n > "${folder}/count"
case "$KUBERNETES_EXEC_INFO" in *'"interactive":false'*) ;; *) exit 3 ;; esac
printf '{"kind":"ExecCredential","status":{"token":"%s-%s"}}' "$GREETING" "$n"
`,
    )
    await chmod(script, 0o755)
    await kubeconfig({
      exec: {
        apiVersion: 'client.authentication.k8s.io/v1',
        command: './login.sh',
        env: [{ name: 'GREETING', value: 'hello' }],
      },
    })
    const made = await connect(await loadCredentials({ kubeconfig: join(folder, 'config') }))
    await made.request({ path: '/' })
    await made.request({ path: '/' })
    expect(seen.map(({ headers }) => headers.authorization)).toEqual(['Bearer hello-1', 'Bearer hello-1'])
    handler = (request, response) => {
      response.statusCode = request.headers.authorization === 'Bearer hello-2' ? 200 : 401
      response.end('{}')
    }
    expect((await made.request({ path: '/' })).status).toBe(200)
  })

  test('that cannot be used are refused in one sentence without a content', async () => {
    const refusal = async (user: object, cluster: object = {}) => {
      await kubeconfig(user, cluster)
      return (await failure(loadCredentials({ kubeconfig: join(folder, 'config') }))).message
    }
    expect(await refusal({ exec: { command: '/bin/false', args: ['hunter2'] } })).toBe(
      '/bin/false of the kubeconfig failed (Error)',
    )
    expect(await refusal({ exec: { command: '/bin/echo', args: ['hunter2'] } })).toMatch(/printed no JSON$/)
    expect(await refusal({ exec: {} })).toMatch(/names no command/)
    expect(await refusal({ username: 'x', password: 'hunter2' })).toMatch(/username .* not supported/)
    expect(await refusal({ token: 'x' }, { 'insecure-skip-tls-verify': true })).toMatch(/not supported/)
    expect(await refusal({ token: 'x' }, { server: 'http://localhost' })).toMatch(/only https/)
    await writeFile(join(folder, 'config'), 'token: [hunter2')
    const broken = await failure(loadCredentials({ kubeconfig: join(folder, 'config') }))
    expect(broken.message).toMatch(/is no kubeconfig$/)
    const absent = await failure(loadCredentials({ kubeconfig: join(folder, 'absent') }))
    expect(absent.message).toMatch(/ENOENT/)
  })

  test('of a pod are taken where the environment says that this is one', async () => {
    const credentials = await loadCredentials({
      environment: { KUBERNETES_SERVICE_HOST: 'localhost', KUBERNETES_SERVICE_PORT: String(port()) },
      serviceAccountFolder: folder,
    })
    expect(credentials).toMatchObject({ server: { host: 'localhost', port: port() }, namespace: 'here' })
  })

  async function kubeconfig(user: object, cluster: object = {}): Promise<void> {
    await writeFile(
      join(folder, 'config'),
      JSON.stringify({
        'current-context': 'main',
        contexts: [{ name: 'main', context: { cluster: 'c', user: 'u', namespace: 'team' } }],
        clusters: [
          {
            name: 'c',
            cluster: {
              server: `https://127.0.0.1:${port()}/base/`,
              'tls-server-name': 'localhost',
              'certificate-authority-data': Buffer.from(ca.pem).toString('base64'),
              ...cluster,
            },
          },
        ],
        users: [{ name: 'u', user }],
      }),
    )
  }
})

// The thread behind api-proxy.ts: every request goes on to the API server as it came; what a held watch says waits.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { Agent, createServer, request } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parentPort, workerData } from 'node:worker_threads'
import type { ApiProxyPlan, Hold } from './api-proxy.ts'

const { authority, host, port } = workerData as ApiProxyPlan
const agent = new Agent({ keepAlive: true, ca: readFileSync(join(authority, 'ca.crt')) })
const held = new Map<string, number>()
let passed = 0

const server = createServer(makeLeaf(), (incoming, answer) => {
  passed++
  const { method = '', url = '', headers } = incoming
  const { pathname, searchParams } = new URL(url, 'https://api')
  const plural = searchParams.has('watch') ? (pathname.split('/').at(-1) ?? '') : ''
  const call = request({ host, port, agent, method, path: url, headers })
  call.on('response', (response) => {
    answer.writeHead(response.statusCode ?? 502, response.headers)
    answer.flushHeaders()
    response.on('data', (chunk: Buffer) => {
      const wait = held.get(plural) ?? 0
      if (wait === 0) answer.write(chunk)
      else setTimeout(() => answer.write(chunk), wait).unref()
    })
    response.on('end', () => answer.end()).on('error', () => answer.destroy())
  })
  call.on('error', () => answer.destroy())
  answer.on('close', () => call.destroy())
  incoming.pipe(call)
})
server.listen(443, host, () => parentPort?.postMessage(0))
parentPort?.on('message', (message: Hold | 'passed') => {
  if (message === 'passed') parentPort?.postMessage(passed)
  else held.set(message.plural, message.milliseconds)
})

/** What the API server itself would show at this address. */
function makeLeaf(): { readonly key: Buffer; readonly cert: Buffer } {
  const folder = mkdtempSync(join(tmpdir(), 'atrium-api-proxy-'))
  try {
    const [key, cert] = [join(folder, 'key'), join(folder, 'crt')]
    const signing = ['-CA', join(authority, 'ca.crt'), '-CAkey', join(authority, 'ca.key'), '-days', '2']
    const names = ['-subj', '/CN=kube-apiserver', '-addext', `subjectAltName=IP:${host}`]
    const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', key, '-out', cert]
    const { status, stderr } = spawnSync('openssl', ['req', '-x509', ...signing, ...names, ...kind], {
      encoding: 'utf8',
    })
    if (status !== 0) throw new Error(`openssl: ${stderr}`)
    return { key: readFileSync(key), cert: readFileSync(cert) }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

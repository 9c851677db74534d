// A pod of somebody else in the cluster: it reaches no port of Atrium but those for clients, and where the network does not
// keep it out, no certificate, no snapshot and no secret byte comes to it. Not even at the address of a dataplane pod.
import { existsSync, readdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, onTestFailed, test } from 'vitest'
import { makeCa, makeLeaf } from '../test/support/certificates.ts'
import { describeInstallation, gatewayAddress, install, NAMESPACE, podsOf } from './support/installation.ts'
import { apply, get, kubectl } from './support/kubectl.ts'
import { askUntil } from './support/request.ts'
import { inStray, makeStray, removeStrays, strayAddress, strayLog } from './support/stray.ts'
import { makeTenant, removeTenant, routeOf } from './support/tenant.ts'

const TENANT = 'vault'

/** Prints `open` or why not. */
const CONNECT = `
const [host, port] = process.argv.slice(1)
const socket = require('net').connect({ host, port: Number(port), timeout: 1500 })
const end = (word) => { console.log(word); process.exit() }
socket.on('connect', () => end('open')).on('timeout', () => end('closed')).on('error', (error) => end('closed ' + error.code))
`

/** Calls over TLS, with a certificate of its own where there is one; prints the status and the body, or the error. */
const CALL = `
const { request } = require('https')
const { existsSync, readFileSync } = require('fs')
const [host, port, method, path, token, own, body] = process.argv.slice(1)
const identity = own === 'yes' ? { cert: readFileSync('/files/tls.crt'), key: readFileSync('/files/tls.key') } : {}
const headers = { 'content-type': 'application/json', ...(token === '' ? {} : { authorization: 'Bearer ' + readFileSync('/token/token', 'utf8') }) }
const call = request({ host, port: Number(port), method, path, headers, rejectUnauthorized: false, timeout: 3000, ...identity }, (response) => {
  let text = ''
  response.on('data', (chunk) => { text += chunk }).on('end', () => console.log(response.statusCode, text))
})
call.on('timeout', () => call.destroy(new Error('no answer'))).on('error', (error) => console.log('refused', error.code || error.message))
call.end(body || undefined)
`

/** Listens where dataplane pods do, takes any client, and prints every byte that comes after the handshake. */
const LISTEN = `
const { readFileSync } = require('fs')
const server = require('tls').createServer({ cert: readFileSync('/files/tls.crt'), key: readFileSync('/files/tls.key'), requestCert: true, rejectUnauthorized: false })
server.on('connection', () => console.log('connection'))
server.on('secureConnection', (socket) => {
  console.log('handshake')
  socket.on('data', (chunk) => console.log('bytes', chunk.length, chunk.toString('latin1').slice(0, 200))).on('error', () => {})
})
server.on('tlsClientError', (error) => console.log('client left', error.code))
server.listen(9902, '::', () => console.log('listening'))
`

let files: Readonly<Record<string, string>>

beforeAll(async () => {
  install()
  const leaf = await makeLeaf(await makeCa())
  files = { 'tls.crt': leaf.certPem, 'tls.key': leaf.keyPem }
  makeTenant(TENANT)
  const secret = {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { namespace: TENANT, name: 'tls' },
    type: 'kubernetes.io/tls',
  }
  const names = [`a.${TENANT}.test`]
  const own = await makeLeaf(await makeCa(), { names })
  apply(JSON.stringify({ ...secret, stringData: { 'tls.crt': own.certPem, 'tls.key': own.keyPem } }))
  apply(
    JSON.stringify(
      routeOf(TENANT, 'a', names[0] ?? '', { tls: { certificateRefs: [{ name: 'tls' }], plainHTTP: 'Serve' } }),
    ),
  )
  await askUntil(await gatewayAddress(), names[0] ?? '', ({ status }) => status === 200, 20_000)
  makeStray('stray', undefined, files)
})

afterAll(() => {
  removeStrays()
  removeTenant(TENANT)
})

describe('behind the NetworkPolicies', () => {
  test('only the ports for clients are open', () => {
    onTestFailed(() => console.log(describeInstallation()))
    const open = (component: 'controller' | 'dataplane', ports: readonly number[]) =>
      podsOf(component).flatMap(({ status }) =>
        ports.map(
          (port) => `${component} ${port} ${inStray('stray', CONNECT, status.podIP ?? '', String(port)).split(' ')[0]}`,
        ),
      )
    expect(new Set(open('dataplane', [8080, 9901, 9902, 9903]))).toEqual(
      new Set(['dataplane 8080 open', 'dataplane 9901 closed', 'dataplane 9902 closed', 'dataplane 9903 closed']),
    )
    expect(new Set(open('controller', [9901, 9902, 9903]))).toEqual(
      new Set(['controller 9901 closed', 'controller 9902 closed', 'controller 9903 closed']),
    )
  })
})

describe('where no policy keeps it out', () => {
  beforeAll(() => install('networkPolicy.enabled=false'))
  afterAll(() => install())

  const call = (
    component: 'controller' | 'dataplane',
    method: string,
    path: string,
    more: { token?: boolean; own?: boolean; body?: unknown } = {},
  ) =>
    podsOf(component).map(({ status }) =>
      inStray(
        'stray',
        CALL,
        status.podIP ?? '',
        '9902',
        method,
        path,
        more.token === true ? 'token' : '',
        more.own === true ? 'yes' : 'no',
        more.body === undefined ? '' : JSON.stringify(more.body),
      ),
    )
  const manifest = {
    fence: 1_000_000,
    sequence: 1,
    format: 1,
    release: 'atrium',
    base: null,
    version: '',
    endpointsRevision: '',
    root: '0'.repeat(64),
    shards: [],
    pools: [],
  }

  test.each([
    ['without a certificate', false],
    ['with one of another authority', true],
  ])('no dataplane pod listens to it %s', (_what, own) => {
    for (const [method, path, body] of [
      ['GET', '/snapshot', undefined],
      ['GET', '/status', undefined],
      ['POST', '/push/v1/manifest', manifest],
      ['POST', '/push/v1/activate', { fence: 1_000_000, sequence: 1, root: '0'.repeat(64) }],
    ] as const) {
      for (const answer of call('dataplane', method, path, { own, body })) expect(answer, path).toMatch(/^refused/)
    }
  })

  test('no controller gives it a snapshot', () => {
    for (const own of [false, true]) {
      for (const answer of call('controller', 'GET', '/pull/v1/snapshot', { own })) {
        expect(answer).toMatch(/^(refused|40[13] )/)
        expect(answer).not.toContain(TENANT)
      }
    }
  })

  test('no controller signs for a token of another service account, or for none', () => {
    const body = { csr: signingRequest(), port: 9902 }
    for (const answer of call('controller', 'POST', '/identity/v1/sign', { token: true, body })) {
      expect(answer).toMatch(/^403 .*another service account/)
    }
    for (const answer of call('controller', 'POST', '/identity/v1/sign', { body })) expect(answer).toMatch(/^40[13] /)
  })

  test('a pod that is listed as a dataplane pod gets no byte', async () => {
    makeStray('listed', LISTEN, files)
    const address = strayAddress('listed')
    apply(
      JSON.stringify({
        apiVersion: 'discovery.k8s.io/v1',
        kind: 'EndpointSlice',
        metadata: { namespace: NAMESPACE, name: 'atrium-planted', labels: { 'kubernetes.io/service-name': 'atrium' } },
        addressType: 'IPv4',
        ports: [{ name: 'http', port: 8080 }],
        endpoints: [
          {
            addresses: [address],
            conditions: { ready: true },
            targetRef: {
              kind: 'Pod',
              namespace: NAMESPACE,
              name: 'atrium-dataplane-planted',
              uid: '00000000-0000-0000-0000-000000000000',
            },
          },
        ],
      }),
    )
    try {
      await expect.poll(() => strayLog('listed'), { timeout: 30_000, interval: 500 }).toContain('connection')
      await changeSomething()
      expect(strayLog('listed')).not.toMatch(/^bytes/m)
    } finally {
      kubectl(['delete', 'endpointslice', '-n', NAMESPACE, 'atrium-planted'])
    }
  })

  test.runIf(addressBook() !== undefined)('a pod on the reused address of a dataplane pod gets no byte', async () => {
    const [pod] = podsOf('dataplane')
    const address = pod?.status.podIP ?? ''
    kubectl(['delete', 'pod', '-n', NAMESPACE, pod?.metadata.name ?? '', '--grace-period=0', '--force'])
    // The replacement has an address of its own by then, and the old one is free.
    await expect.poll(() => existsSync(join(addressBook() ?? '', address)), { timeout: 30_000 }).toBe(false)
    kubectl(['rollout', 'status', '-n', NAMESPACE, 'deployment/atrium-dataplane', '--timeout=60s'])
    reserveNext(address)
    makeStray('reused', LISTEN, files)
    expect(strayAddress('reused')).toBe(address)
    await changeSomething()
    console.log(
      `at ${address}: ${
        strayLog('reused')
          .split('\n')
          .filter((line) => line === 'connection').length
      } connections`,
    )
    expect(strayLog('reused')).not.toMatch(/^bytes/m)
  })
})

/** Something that controllers push to every pod that they know, and time for it. */
async function changeSomething(): Promise<void> {
  const host = `${crypto.randomUUID().slice(0, 8)}.${TENANT}.test`
  apply(JSON.stringify(routeOf(TENANT, host.split('.')[0] ?? '', host)))
  await askUntil(await gatewayAddress(), host, ({ status }) => status === 200, 20_000)
  await new Promise((resolve) => setTimeout(resolve, 8_000))
}

function signingRequest(): string {
  const script = `
import('/app/node_modules/reflect-metadata/Reflect.js').then(async () => {
  const { Pkcs10CertificateRequestGenerator } = await import('/app/node_modules/@peculiar/x509/build/x509.es.js')
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
  const keys = await crypto.subtle.generateKey(algorithm, false, ['sign', 'verify'])
  const request = await Pkcs10CertificateRequestGenerator.create({ name: 'CN=stray', keys, signingAlgorithm: algorithm })
  console.log(request.toString('pem'))
})`
  return `${inStray('stray', script)}\n`
}

/** Where e2e/cluster notes which addresses its node gave away; undefined on any other cluster. */
function addressBook(): string | undefined {
  const kubeconfig = process.env['KUBECONFIG'] ?? ''
  const path = join(dirname(kubeconfig), 'node1', 'lib', 'cni', 'networks', 'pods')
  return existsSync(path) && readdirSync(path).some((name) => name.startsWith('last_reserved_ip')) ? path : undefined
}

/** Makes the next pod of the node get an address that was just freed: addresses are given out in a ring. */
function reserveNext(address: string): void {
  const parts = address.split('.').map(Number)
  const before = [...parts.slice(0, 3), (parts[3] ?? 0) - 1].join('.')
  writeFileSync(join(addressBook() ?? '', 'last_reserved_ip.0'), before)
  const { items } = get<{ items: { status: { podIP?: string }; metadata: { name: string } }[] }>('pods', '-A')
  expect(items.filter(({ status }) => status.podIP === address).map(({ metadata }) => metadata.name)).toEqual([])
}

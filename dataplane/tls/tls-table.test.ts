// Handshakes over real sockets: names, certificates, client authorities, rotation, revocation, and hostile bytes.
import { once } from 'node:events'
import { createServer, connect as connectPlain, type AddressInfo, type Server, type Socket } from 'node:net'
import { connect, type ConnectionOptions, type TLSSocket } from 'node:tls'
import { afterEach, beforeAll, describe, expect, it } from 'vitest'
import { Hidden } from '../../model/hidden.ts'
import type { HostTls, TenantShard } from '../../model/snapshot.ts'
import {
  authorityFacts,
  certificateFacts,
  makeCa,
  makeLeaf,
  type TestCa,
  type TestLeaf,
} from '../../test/support/certificates.ts'
import { makeHost, makeHostTls, makeShard } from '../../test/support/shard.ts'
import { TlsTable, type TlsTableOptions } from './tls-table.ts'

let ca: TestCa
let clientCa: TestCa
let otherCa: TestCa
let one: TestLeaf
let wild: TestLeaf
let client: TestLeaf
let stranger: TestLeaf

beforeAll(async () => {
  ca = await makeCa()
  clientCa = await makeCa('Clients')
  otherCa = await makeCa('Others')
  one = await makeLeaf(ca, { names: ['one.test'] })
  wild = await makeLeaf(ca, { names: ['*.wild.test'], key: 'RSA' })
  client = await makeLeaf(clientCa, { commonName: 'client', usage: 'client' })
  stranger = await makeLeaf(otherCa, { commonName: 'stranger', usage: 'client' })
})

const cleanups: (() => void)[] = []
afterEach(() => {
  for (const cleanup of cleanups.splice(0)) cleanup()
})

/** A listener that echoes through the table, and what came out of the handshakes. */
async function listen(options: TlsTableOptions = {}) {
  const table = new TlsTable(options)
  const secured: TLSSocket[] = []
  const sockets = new Set<Socket>()
  const server: Server = createServer({ pauseOnConnect: true }, (socket) => {
    sockets.add(socket)
    table.accept(socket, (secure) => {
      secured.push(secure)
      secure.on('data', (chunk: Buffer) => secure.write(chunk))
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  cleanups.push(() => {
    server.close()
    for (const socket of sockets) socket.destroy()
  })
  return { table, secured, port: (server.address() as AddressInfo).port }
}

/** Connects and exchanges one word, so that a refusal after the client's own handshake (TLS 1.3) is seen too. */
async function tryConnect(port: number, options: ConnectionOptions): Promise<TLSSocket> {
  const socket = connect({ host: '127.0.0.1', port, rejectUnauthorized: false, ...options })
  cleanups.push(() => socket.destroy())
  return new Promise((resolve, reject) => {
    socket.once('error', reject)
    socket.once('close', () => reject(new Error('closed')))
    socket.once('data', () => resolve(socket))
    socket.write('hello')
  })
}

function oneShard(tls: Partial<HostTls> = {}, rest: Partial<TenantShard> = {}): TenantShard {
  const facts = certificateFacts(one, ['one.test'])
  return makeShard('acme', {
    hosts: [makeHost('one.test', { tls: makeHostTls({ certificates: [facts.fingerprint], ...tls }) })],
    certificates: new Map([[facts.fingerprint, facts]]),
    ...rest,
  })
}

function validated(authorities: readonly TestCa[], mode: 'Require' | 'Optional' = 'Require'): TenantShard {
  const facts = authorityFacts(...authorities)
  return oneShard(
    { clientValidation: { authorities: [facts.fingerprint], mode, closed: false } },
    { authorities: new Map([[facts.fingerprint, facts]]) },
  )
}

function wildShard(): TenantShard {
  const facts = certificateFacts(wild, ['*.wild.test'])
  return makeShard('globex', {
    hosts: [makeHost('*.wild.test', { tls: makeHostTls({ certificates: [facts.fingerprint] }) })],
    certificates: new Map([[facts.fingerprint, facts]]),
  })
}

const names = (socket: TLSSocket) => socket.getPeerCertificate().subjectaltname

describe('names', () => {
  it('show the certificate of the host, in every spelling', async () => {
    const { table, secured, port } = await listen()
    table.replace('acme', oneShard())
    table.replace('globex', wildShard())
    expect(names(await tryConnect(port, { servername: 'ONE.Test' }))).toBe('DNS:one.test')
    expect(names(await tryConnect(port, { servername: 'one.test.' }))).toBe('DNS:one.test')
    expect(names(await tryConnect(port, { servername: 'a.b.wild.test' }))).toBe('DNS:*.wild.test')
    expect(secured.map((secure) => table.describe(secure))).toMatchObject([
      { serverName: 'one.test', tenant: 'acme', version: 'TLSv1.3', verifiedAgainst: '' },
      { serverName: 'one.test', tenant: 'acme' },
      { serverName: 'a.b.wild.test', tenant: 'globex' },
    ])
    expect(table.describe(secured[0] as TLSSocket).cipher).toMatch(/^TLS_/)
    expect(table.handshaking).toBe(0)
  })

  it('that nobody has end the handshake with unrecognized_name, and so does none', async () => {
    const { table, port } = await listen()
    table.replace('globex', wildShard())
    await expect(tryConnect(port, { servername: 'wild.test' })).rejects.toThrow(/unrecognized.name/i)
    await expect(tryConnect(port, { servername: 'two.test' })).rejects.toThrow(/unrecognized.name/i)
    await expect(tryConnect(port, {})).rejects.toThrow(/unrecognized.name/i)
    expect(table.handshaking).toBe(0)
  })

  it('that nobody has get the default certificate where there is one', async () => {
    const fallback = await makeLeaf(ca, { names: ['default.test'] })
    const defaultCertificate = { chainPem: fallback.certPem, keyPem: new Hidden(fallback.keyPem) }
    const { table, secured, port } = await listen({ defaultCertificate })
    table.replace('acme', oneShard({ certificates: [] }))
    expect(names(await tryConnect(port, { servername: 'two.test' }))).toBe('DNS:default.test')
    expect(names(await tryConnect(port, {}))).toBe('DNS:default.test')
    expect(names(await tryConnect(port, { servername: 'one.test' }))).toBe('DNS:default.test')
    expect(secured.map((secure) => table.describe(secure).tenant)).toEqual(['', '', 'acme'])
  })

  it('have certificates of both types of key', async () => {
    const rsa = await makeLeaf(ca, { names: ['one.test'], key: 'RSA' })
    const second = await makeLeaf(ca, { names: ['one.test'], commonName: 'second' })
    const facts = [one, rsa, second].map((leaf) => certificateFacts(leaf, ['one.test']))
    const { table, port } = await listen()
    const certificates = new Map(facts.map((each) => [each.fingerprint, each]))
    table.replace('acme', oneShard({ certificates: [...certificates.keys()] }, { certificates }))
    const options = { servername: 'one.test', maxVersion: 'TLSv1.2' } as const
    const ec = await tryConnect(port, { ...options, ciphers: 'ECDHE-ECDSA-AES128-GCM-SHA256' })
    expect(ec.getPeerX509Certificate()?.subject).toBe('CN=one.test')
    await tryConnect(port, { ...options, ciphers: 'ECDHE-RSA-AES128-GCM-SHA256' })
  })

  it('keep to their lowest version', async () => {
    const { table, port } = await listen()
    table.replace('acme', oneShard({ minVersion: '1.3' }))
    table.replace('globex', wildShard())
    await expect(tryConnect(port, { servername: 'one.test', maxVersion: 'TLSv1.2' })).rejects.toThrow(/version/)
    await tryConnect(port, { servername: 'a.wild.test', maxVersion: 'TLSv1.2' })
  })

  it('speak http/1.1 and the new key exchange', async () => {
    const { table, port } = await listen()
    table.replace('acme', oneShard())
    const socket = await tryConnect(port, { servername: 'one.test', ALPNProtocols: ['h2', 'http/1.1'] })
    expect(socket.alpnProtocol).toBe('http/1.1')
    await tryConnect(port, { servername: 'one.test', ecdhCurve: 'X25519MLKEM768' })
  })
})

describe('rotation', () => {
  it('shows the new certificate at once and drops no connection', async () => {
    const { table, secured, port } = await listen()
    table.replace('acme', oneShard())
    const before = await tryConnect(port, { servername: 'one.test' })
    const next = await makeLeaf(ca, { names: ['one.test', 'new.test'] })
    const facts = certificateFacts(next, ['one.test', 'new.test'])
    table.replace(
      'acme',
      oneShard({ certificates: [facts.fingerprint] }, { certificates: new Map([[facts.fingerprint, facts]]) }),
    )
    expect(names(await tryConnect(port, { servername: 'one.test' }))).toBe('DNS:one.test, DNS:new.test')
    before.write('still here')
    expect(String((await once(before, 'data'))[0])).toBe('still here')
    expect(table.revoked(secured[0] as TLSSocket)).toBe(false)
    expect(table.contexts).toBe(1)
  })

  it('keeps contexts of hosts that did not change, and a bounded number of them', async () => {
    const { table, port } = await listen({ maxContexts: 2 })
    table.replace('globex', wildShard())
    table.replace('acme', oneShard())
    await tryConnect(port, { servername: 'a.wild.test' })
    await tryConnect(port, { servername: 'one.test' })
    table.replace('acme', oneShard())
    expect(table.contexts).toBe(2)
    await tryConnect(port, { servername: 'two.test' }).catch(() => undefined)
    expect(table.contexts).toBe(2)
    table.replace('acme', undefined)
    table.replace('globex', undefined)
    await expect(tryConnect(port, { servername: 'one.test' })).rejects.toThrow()
  })
})

describe('client certificates', () => {
  const spellings = [
    ...['one.test', 'ONE.TEST', 'One.Test', 'oNe.tEsT', 'one.TEST', 'one.test.', 'ONE.TEST.', 'One.Test.'],
    ...['one.test..', '.one.test', 'one..test', ' one.test', 'one.test ', 'one.test\t', 'one.test:443', 'one.test:'],
    ...['*.one.test', '*', 'user@one.test', 'one.test/', 'one%2etest', 'one\u3002test', 'xone.test', 'one.testx'],
    ...['one.test,one.test', '[one.test]', 'one.test\\', 'www.one.test', 'one', 'test'],
  ]

  it.each(spellings)('are demanded for the spelling %j', async (servername) => {
    const { table, secured, port } = await listen({
      defaultCertificate: { chainPem: wild.certPem, keyPem: new Hidden(wild.keyPem) },
    })
    table.replace('acme', validated([clientCa]))
    // A name that is not the host's may get the default certificate, but then it speaks for nobody.
    await tryConnect(port, { servername, checkServerIdentity: () => undefined }).catch(() => undefined)
    expect(secured.every((secure) => table.describe(secure).tenant === '')).toBe(true)
  })

  it('let in who has one of the authorities, and nobody else', async () => {
    const { table, secured, port } = await listen()
    table.replace('acme', validated([clientCa]))
    const options = { servername: 'one.test' }
    await tryConnect(port, { ...options, cert: client.certPem, key: client.keyPem })
    expect(table.describe(secured[0] as TLSSocket).verifiedAgainst).toBe(authorityFacts(clientCa).fingerprint)
    await expect(tryConnect(port, options)).rejects.toThrow()
    await expect(tryConnect(port, { ...options, cert: stranger.certPem, key: stranger.keyPem })).rejects.toThrow()
    const server = await makeLeaf(clientCa, { commonName: 'client', usage: 'server' })
    await expect(tryConnect(port, { ...options, cert: server.certPem, key: server.keyPem })).rejects.toThrow()
    const old = await makeLeaf(clientCa, { usage: 'client', notAfter: new Date(Date.now() - 1000) })
    await expect(tryConnect(port, { ...options, cert: old.certPem, key: old.keyPem })).rejects.toThrow()
    expect(secured).toHaveLength(1)
    expect(table.handshaking).toBe(0)
  })

  it('are optional where the host says so, but never bad', async () => {
    const { table, secured, port } = await listen()
    table.replace('acme', validated([clientCa], 'Optional'))
    const options = { servername: 'one.test' }
    await tryConnect(port, options)
    await tryConnect(port, { ...options, cert: client.certPem, key: client.keyPem })
    await expect(tryConnect(port, { ...options, cert: stranger.certPem, key: stranger.keyPem })).rejects.toThrow()
    expect(secured.map((secure) => table.describe(secure).verifiedAgainst !== '')).toEqual([false, true])
  })

  it('are asked for by no other host', async () => {
    const { table, secured, port } = await listen()
    table.replace('acme', validated([clientCa]))
    table.replace('globex', wildShard())
    // A client sends its certificate only when it is asked for one.
    await tryConnect(port, { servername: 'a.wild.test', cert: client.certPem, key: client.keyPem })
    expect(secured[0]?.getPeerX509Certificate()).toBeUndefined()
  })

  it('close the host where no authority can be read', async () => {
    for (const closed of [
      oneShard({ clientValidation: { authorities: [], mode: 'Require', closed: true } }),
      oneShard({ clientValidation: { authorities: ['missing'], mode: 'Optional', closed: false } }),
      oneShard({ clientValidation: { authorities: [], mode: 'Optional', closed: false } }),
    ]) {
      const { table, port } = await listen()
      table.replace('acme', closed)
      await expect(
        tryConnect(port, { servername: 'one.test', cert: client.certPem, key: client.keyPem }),
      ).rejects.toThrow(/handshake failure/i)
    }
  })

  it.each(['TLSv1.2', 'TLSv1.3'] as const)(
    'are verified anew after a change, ticket or not (%s)',
    async (maxVersion) => {
      const { table, secured, port } = await listen()
      const options = { servername: 'one.test', maxVersion, cert: client.certPem, key: client.keyPem }
      table.replace('acme', validated([clientCa]))
      const socket = connect({ host: '127.0.0.1', port, rejectUnauthorized: false, ...options })
      cleanups.push(() => socket.destroy())
      const sessions: Buffer[] = []
      socket.on('session', (session: Buffer) => sessions.push(session))
      socket.write('hello')
      await once(socket, 'data')
      const session = sessions.at(-1) ?? socket.getSession()
      const again = await tryConnect(port, { ...options, ...(session === undefined ? {} : { session }) })
      expect(again.isSessionReused()).toBe(false)
      table.replace('acme', validated([otherCa]))
      const count = secured.length
      await expect(tryConnect(port, { ...options, ...(session === undefined ? {} : { session }) })).rejects.toThrow()
      expect(secured).toHaveLength(count)
    },
  )

  it('that count no longer end the connection', async () => {
    const { table, secured, port } = await listen({ revocationGrace: 20 })
    table.replace('acme', validated([clientCa]))
    const socket = await tryConnect(port, { servername: 'one.test', cert: client.certPem, key: client.keyPem })
    expect(table.revoked(secured[0] as TLSSocket)).toBe(false)
    table.replace('acme', validated([clientCa]))
    expect(table.revoked(secured[0] as TLSSocket)).toBe(false)
    table.replace('acme', validated([otherCa]))
    expect(table.revoked(secured[0] as TLSSocket)).toBe(true)
    await once(socket, 'close')
  })

  it('that are demanded from now on end a connection without one', async () => {
    const { table, secured, port } = await listen({ revocationGrace: 20 })
    table.replace('acme', oneShard())
    const socket = await tryConnect(port, { servername: 'one.test' })
    table.replace('acme', validated([clientCa]))
    expect(table.revoked(secured[0] as TLSSocket)).toBe(true)
    await once(socket, 'close')
  })
})

describe('tickets', () => {
  it('resume a session of a host without client certificates', async () => {
    const { table, port } = await listen()
    table.replace('acme', oneShard())
    const first = connect({ host: '127.0.0.1', port, rejectUnauthorized: false, servername: 'one.test' })
    cleanups.push(() => first.destroy())
    const session: Promise<unknown[]> = once(first, 'session')
    first.write('hello')
    await once(first, 'data')
    const second = await tryConnect(port, { servername: 'one.test', session: (await session)[0] as Buffer })
    expect(second.isSessionReused()).toBe(true)
  })

  it('of another host open nothing', async () => {
    const { table, port } = await listen()
    table.replace('globex', wildShard())
    table.replace('acme', validated([clientCa]))
    const first = connect({ host: '127.0.0.1', port, rejectUnauthorized: false, servername: 'a.wild.test' })
    cleanups.push(() => first.destroy())
    const session: Promise<unknown[]> = once(first, 'session')
    first.write('hello')
    await once(first, 'data')
    await expect(tryConnect(port, { servername: 'one.test', session: (await session)[0] as Buffer })).rejects.toThrow()
  })
})

describe('hostile clients', () => {
  async function raw(port: number, bytes: Uint8Array): Promise<string> {
    const socket = connectPlain(port, '127.0.0.1')
    cleanups.push(() => socket.destroy())
    const chunks: Buffer[] = []
    socket.on('data', (chunk: Buffer) => chunks.push(chunk))
    socket.on('error', () => undefined)
    socket.end(bytes)
    await once(socket, 'close')
    return Buffer.concat(chunks).toString('hex')
  }

  it('that speak something else are cut off', async () => {
    const { table, secured, port } = await listen()
    table.replace('acme', oneShard())
    expect(await raw(port, Buffer.from('GET / HTTP/1.1\r\nhost: one.test\r\n\r\n'))).toBe('')
    expect(await raw(port, Uint8Array.of(22, 3, 1, 0, 1, 2))).toBe('')
    expect(await raw(port, new Uint8Array(40_000).fill(22))).toBe('')
    expect(secured).toHaveLength(0)
    expect(table.handshaking).toBe(0)
  })

  it('that stall are cut off in time', async () => {
    const { table, port } = await listen({ handshakeTimeout: 50 })
    const socket = connectPlain(port, '127.0.0.1')
    cleanups.push(() => socket.destroy())
    socket.write(Uint8Array.of(22, 3))
    await once(socket, 'close')
    await expect.poll(() => table.handshaking).toBe(0)
  })

  it('that are too many are cut off, one tenant at half of the places', async () => {
    const queue: (() => void)[] = []
    const { table, port } = await listen({ maxHandshakes: 4, schedule: (_tenant, run) => queue.push(run) })
    table.replace('acme', oneShard())
    table.replace('globex', wildShard())
    const attempts = ['one.test', 'one.test', 'one.test', 'a.wild.test'].map((servername) => {
      const attempt = tryConnect(port, { servername })
      return attempt.then(
        () => servername,
        () => 'refused',
      )
    })
    while (queue.length < 3 || table.handshaking > 3) await new Promise((resolve) => setImmediate(resolve))
    for (const run of queue) run()
    expect((await Promise.all(attempts)).sort()).toEqual(['a.wild.test', 'one.test', 'one.test', 'refused'])
    expect(table.handshaking).toBe(0)
  })

  it('that say nothing leave their places to whoever comes', async () => {
    const { table, secured, port } = await listen({ maxHandshakes: 4 })
    table.replace('acme', oneShard())
    for (let count = 0; count < 12; count += 1) {
      const socket = connectPlain(port, '127.0.0.1')
      socket.on('error', () => undefined)
      cleanups.push(() => socket.destroy())
      await once(socket, 'connect')
    }
    await expect.poll(() => table.handshaking).toBe(4)
    for (let count = 1; count <= 5; count += 1) {
      await tryConnect(port, { servername: 'one.test' })
      expect(secured).toHaveLength(count)
    }
    expect(table.handshaking).toBeLessThanOrEqual(3)
  })

  it('that say a name and nothing more lose their places after a second, not before', async () => {
    const { table, port } = await listen({ maxHandshakes: 2 })
    table.replace('acme', oneShard())
    const relay = createServer((socket) => {
      const onward = connectPlain({ port, host: '127.0.0.1' })
      for (const end of [socket, onward]) end.on('error', () => undefined)
      socket.once('data', (hello: Buffer) => onward.write(hello))
      cleanups.push(() => {
        socket.destroy()
        onward.destroy()
      })
    })
    relay.listen(0, '127.0.0.1')
    await once(relay, 'listening')
    cleanups.push(() => relay.close())
    tryConnect((relay.address() as AddressInfo).port, { servername: 'one.test' }).catch(() => undefined)
    await expect.poll(() => table.handshaking).toBe(1)
    await expect(tryConnect(port, { servername: 'one.test' })).rejects.toThrow()
    await new Promise((resolve) => setTimeout(resolve, 1_100))
    await tryConnect(port, { servername: 'one.test' })
  })

  it('that send the ClientHello byte by byte are served', async () => {
    const { table, secured, port } = await listen()
    table.replace('acme', oneShard())
    const relay = createServer((socket) => {
      const onward = connectPlain({ port, host: '127.0.0.1', noDelay: true })
      socket.on('error', () => undefined)
      onward.on('error', () => undefined)
      onward.on('data', (chunk) => socket.write(chunk))
      socket.on('data', async (chunk: Buffer) => {
        socket.pause()
        for (const byte of chunk) {
          onward.write(Uint8Array.of(byte))
          await new Promise((resolve) => setImmediate(resolve))
        }
        socket.resume()
      })
      cleanups.push(() => {
        socket.destroy()
        onward.destroy()
      })
    })
    relay.listen(0, '127.0.0.1')
    await once(relay, 'listening')
    cleanups.push(() => relay.close())
    await tryConnect((relay.address() as AddressInfo).port, { servername: 'one.test' })
    expect(secured).toHaveLength(1)
  })
})

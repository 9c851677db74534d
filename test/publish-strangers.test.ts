import { connect as connectTls, createServer as createTls } from 'node:tls'

import { afterEach, describe, expect, test } from 'vitest'
import { Hidden } from '../model/hidden.ts'
import { PUSH_PATHS } from '../model/push.ts'
import { type PeerCredentials, secureOptions } from '../peer/identify.ts'
import { makeCa, makeLeaf } from './support/certificates.ts'
import { PublishWorld, RELEASE, sealedShard, snapshotOf, until } from './support/publish-world.ts'

const stops: (() => Promise<void>)[] = []

afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop()
})

async function startWorld(): Promise<PublishWorld> {
  const world = await PublishWorld.start()
  stops.push(() => world.stop())
  return world
}

/** What a raw request got back: the status line, or how it ended. */
async function ask(port: number, credentials: Partial<PeerCredentials>, request: string): Promise<string> {
  return await new Promise((resolve) => {
    let answer = ''
    const { certificate, key, authorities } = credentials
    const socket = connectTls({
      host: '127.0.0.1',
      port,
      ...(certificate === undefined || key === undefined ? {} : { cert: certificate, key: key.reveal() }),
      ...(authorities === undefined ? {} : { ca: authorities }),
      rejectUnauthorized: false,
    })
    socket.on('error', (error: NodeJS.ErrnoException) => resolve(answer === '' ? (error.code ?? 'error') : answer))
    socket.on('data', (chunk: Buffer) => {
      answer += chunk.toString()
    })
    socket.on('close', () => resolve(answer === '' ? 'closed' : (answer.split('\r\n')[0] ?? '')))
    socket.write(request)
  })
}

const get = (path: string) => `GET ${path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n`
const post = (path: string, body: string) =>
  `POST ${path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`

describe('strangers', () => {
  const { manifest, content, change } = PUSH_PATHS
  const PATHS = ['/status', '/snapshot', '/metrics', '/explain?url=http://a/', manifest, content, change]

  test('without a certificate, or with one of another authority, get nothing of a pod', async () => {
    const world = await startWorld()
    const controller = await world.controller()
    const snapshot = snapshotOf([sealedShard('acme', 'a')])
    await controller.publisher.publish(snapshot, 1)
    const pod = await world.pod([controller])
    await pod.receiver.opened
    await until(() => pod.dataplane.history.length === 1)
    const foreign = await makeCa('Foreign')
    const leaf = await makeLeaf(foreign, { names: ['controller'], usage: 'client' })
    const other = { certificate: leaf.certPem, key: new Hidden(leaf.keyPem) }
    for (const path of PATHS) {
      for (const credentials of [{}, other]) {
        for (const request of [get(path), post(path, '{}')]) {
          expect(await ask(pod.receiver.port, credentials, request), path).not.toMatch(/^HTTP/)
        }
      }
    }
    expect(pod.dataplane.history).toHaveLength(1)
  })

  test('that are dataplanes of the release may neither push nor read', async () => {
    const world = await startWorld()
    const controller = await world.controller()
    await controller.publisher.publish(snapshotOf([sealedShard('acme', 'a')]), 1)
    const pod = await world.pod([controller])
    await pod.receiver.opened
    const name = { release: RELEASE, role: 'dataplane', uid: 'other' } as const
    const { credentials } = await world.authority.issue(name, '127.0.0.1')
    for (const path of PATHS) {
      const method = path.startsWith('/push') ? post(path, '{}') : get(path)
      expect(await ask(pod.receiver.port, credentials, method), path).toBe('HTTP/1.1 403 Forbidden')
    }
  })

  test('whose certificate names another release, or another address, are nobody', async () => {
    const world = await startWorld()
    const controller = await world.controller()
    const pod = await world.pod([controller])
    await pod.receiver.opened
    const elsewhere = await world.authority.issue({ release: RELEASE, role: 'controller', uid: 'c' }, '127.0.0.9')
    const another = await world.authority.issue({ release: 'other', role: 'controller', uid: 'c' }, '127.0.0.1')
    for (const { credentials } of [elsewhere, another]) {
      expect(await ask(pod.receiver.port, credentials, get('/status'))).toBe('HTTP/1.1 403 Forbidden')
    }
  })

  test('get neither a set nor an ear from a controller without a certificate of a dataplane', async () => {
    const world = await startWorld()
    const controller = await world.controller()
    await controller.publisher.publish(snapshotOf([sealedShard('acme', 'a')]), 1)
    const { port } = controller.listener
    for (const credentials of [{}, controller.credentials]) {
      expect(await ask(port, credentials, get(`${PUSH_PATHS.pull}?name=x&formats=1`))).toMatch(/^HTTP\/1.1 403/)
      expect(await ask(port, credentials, post(PUSH_PATHS.position, '{}'))).toMatch(/^HTTP\/1.1 403/)
    }
    expect(await ask(port, {}, post(PUSH_PATHS.sign, '{}'))).toMatch(/^HTTP\/1.1 400/)
    expect(controller.peers.all()).toEqual([])
  })

  test('that are pods and break off what they asked for keep nobody else from a set', async () => {
    const world = await startWorld()
    const controller = await world.controller()
    const wide = Array.from({ length: 400 }, (_, index) => sealedShard(`tenant-${index}`, 'a'))
    await controller.publisher.publish(snapshotOf(wide), 1)
    const { credentials } = await world.authority.issue({ release: RELEASE, role: 'dataplane', uid: 'p' }, '127.0.0.1')
    const options = { host: '127.0.0.1', port: controller.listener.port, ...secureOptions(credentials) }
    for (let call = 0; call < 9; call++) {
      await new Promise<void>((resolve) => {
        const socket = connectTls({ ...options, checkServerIdentity: () => undefined }, () => {
          socket.write(get(`${PUSH_PATHS.pull}?name=p&formats=1`))
        })
        socket.once('data', () => socket.destroy())
        socket.on('close', () => resolve())
        socket.on('error', () => {})
      })
    }
    await new Promise((resolve) => setTimeout(resolve, 100))
    expect(await ask(controller.listener.port, credentials, get(`${PUSH_PATHS.pull}?name=p&formats=1`))).toBe(
      'HTTP/1.1 200 OK',
    )
    // Eleven in a row from one address are too many.
    expect(await ask(controller.listener.port, credentials, get(`${PUSH_PATHS.pull}?name=p&formats=1`))).toMatch(
      /^HTTP\/1.1 429/,
    )
  })

  test('no session outlives its handshake: nothing is resumed', async () => {
    const world = await startWorld()
    const controller = await world.controller()
    const { credentials } = controller
    const session = await new Promise<Buffer | undefined>((resolve) => {
      const socket = connectTls({
        host: '127.0.0.1',
        port: controller.listener.port,
        ...secureOptions(credentials),
        checkServerIdentity: () => undefined,
      })
      socket.on('session', (ticket) => resolve(ticket))
      socket.on('secureConnect', () => setTimeout(() => resolve(undefined), 200))
      socket.on('error', () => resolve(undefined))
    })
    if (session === undefined) return
    const reused = await new Promise<boolean>((resolve) => {
      const socket = connectTls(
        {
          host: '127.0.0.1',
          port: controller.listener.port,
          ...secureOptions(credentials),
          session,
          checkServerIdentity: () => undefined,
        },
        () => {
          resolve(socket.isSessionReused())
          socket.destroy()
        },
      )
      socket.on('error', () => resolve(false))
    })
    expect(reused).toBe(false)
  })
})

describe('a pod on a reused address', () => {
  /** Everything after the handshake, decrypted by whoever sits there. */
  async function impostor(credentials: PeerCredentials): Promise<{ port: number; bytes: () => number }> {
    let bytes = 0
    const server = createTls(
      { ...secureOptions(credentials), requestCert: true, rejectUnauthorized: false },
      (socket) => {
        socket.on('data', (chunk: Buffer) => {
          bytes += chunk.length
        })
        socket.on('error', () => {})
      },
    )
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    stops.push(async () => void server.close())
    const address = server.address()
    return { port: typeof address === 'object' && address !== null ? address.port : 0, bytes: () => bytes }
  }

  test('gets no byte after the handshake, whatever certificate it shows', async () => {
    const world = await startWorld()
    const controller = await world.controller()
    const self = await makeCa('Self')
    const selfLeaf = await makeLeaf(self, { names: ['pod'] })
    const none: PeerCredentials = {
      certificate: selfLeaf.certPem,
      key: new Hidden(selfLeaf.keyPem),
      authorities: self.pem,
    }
    const shown = [
      none,
      (await world.authority.issue({ release: RELEASE, role: 'dataplane', uid: 'another' }, '127.0.0.1')).credentials,
      (await world.authority.issue({ release: RELEASE, role: 'controller', uid: 'wanted' }, '127.0.0.1')).credentials,
      (await world.authority.issue({ release: RELEASE, role: 'dataplane', uid: 'wanted' }, '127.0.0.2')).credentials,
      (await world.authority.issue({ release: 'other', role: 'dataplane', uid: 'wanted' }, '127.0.0.1')).credentials,
    ]
    const impostors = await Promise.all(shown.map((credentials) => impostor(credentials)))
    for (const { port } of impostors) {
      controller.peers.list([{ uid: 'wanted', name: 'wanted', address: '127.0.0.1', port }])
      await controller.publisher.publish(snapshotOf([sealedShard('acme', String(port))]), port)
      await until(() => controller.publisher.pods().some(({ failures }) => failures >= 2))
    }
    expect(impostors.map(({ bytes }) => bytes())).toEqual([0, 0, 0, 0, 0])
    expect(controller.publisher.sentBytes).toBe(0)
  })

  test('the rightful pod, by the same means, is pushed to', async () => {
    const world = await startWorld()
    const controller = await world.controller()
    const { credentials } = await world.authority.issue(
      { release: RELEASE, role: 'dataplane', uid: 'wanted' },
      '127.0.0.1',
    )
    const pod = await impostor(credentials)
    controller.peers.list([{ uid: 'wanted', name: 'wanted', address: '127.0.0.1', port: pod.port }])
    void controller.publisher.publish(snapshotOf([sealedShard('acme', 'a')]), 1)
    await until(() => pod.bytes() > 0)
  })
})

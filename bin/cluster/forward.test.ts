// The forwarded port against a server that speaks the protocol as a kubelet does.
import { createServer, type Server } from 'node:https'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { WebSocketServer } from 'ws'
import { Hidden } from '../../model/hidden.ts'
import { makeCa, makeLeaf } from '../../test/support/certificates.ts'
import type { Credentials } from '../../controller/sources/kubernetes/access.ts'
import { forward } from './forward.ts'

const TARGET = { namespace: 'atrium', pod: 'plane-1', port: 8080 }

describe('a forwarded port', () => {
  let server: Server
  let credentials: Credentials
  let asked: { url: string; authorization: string; protocol: string }[]

  beforeAll(async () => {
    const ca = await makeCa()
    const leaf = await makeLeaf(ca, { names: ['localhost'] })
    asked = []
    server = createServer({ cert: leaf.certPem, key: leaf.keyPem })
    const sockets = new WebSocketServer({ noServer: true, handleProtocols: (offered) => [...offered][0] ?? false })
    server.on('upgrade', (request, socket, head) => {
      const { url = '', headers } = request
      asked.push({ url, authorization: headers.authorization ?? '', protocol: headers['sec-websocket-protocol'] ?? '' })
      if (url.includes('forbidden')) {
        socket.end('HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n')
        return
      }
      sockets.handleUpgrade(request, socket, head, (client) => {
        const port = Buffer.from([TARGET.port & 0xff, TARGET.port >> 8])
        // The two bytes of the port may come in pieces.
        client.send(Buffer.concat([Buffer.from([0]), port]))
        client.send(Buffer.concat([Buffer.from([1]), port.subarray(0, 1)]))
        client.send(Buffer.concat([Buffer.from([1]), port.subarray(1)]))
        if (url.includes('refuses')) {
          client.send(Buffer.concat([Buffer.from([1]), Buffer.from('connection refused')]))
          return
        }
        client.on('message', (message: Buffer) => {
          const words = message.subarray(1).toString('utf8')
          client.send(Buffer.concat([Buffer.from([0]), Buffer.from(words.toUpperCase())]))
          if (words.endsWith('end')) client.close()
        })
      })
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const address = server.address()
    const port = typeof address === 'object' && address !== null ? address.port : 0
    credentials = {
      server: { host: '127.0.0.1', port, path: '/cluster', serverName: 'localhost' },
      namespace: 'default',
      access: () => Promise.resolve({ ca: ca.pem, token: new Hidden('secret') }),
    }
  })
  afterAll(() => {
    server.closeAllConnections()
    server.close()
  })

  test('carries bytes both ways, and ends when the pod ends', async () => {
    const stream = await forward(credentials, TARGET, 2_000)
    stream.write('one ')
    stream.write(Buffer.from('two end'))
    expect(await text(stream)).toBe('ONE TWO END')
    expect(asked.at(-1)).toEqual({
      url: '/cluster/api/v1/namespaces/atrium/pods/plane-1/portforward?ports=8080',
      authorization: 'Bearer secret',
      protocol: 'v4.channel.k8s.io',
    })
  })

  test('large bodies arrive whole', async () => {
    const stream = await forward(credentials, TARGET, 2_000)
    const body = 'x'.repeat(3_000_000)
    stream.write(body)
    stream.write('end')
    expect((await text(stream)).length).toBe(body.length + 3)
  })

  test('what the pod’s node says in the end is the error', async () => {
    const stream = await forward(credentials, { ...TARGET, pod: 'refuses-1' }, 2_000)
    await expect(text(stream)).rejects.toThrow('connection refused')
  })

  test('not allowed is told apart from not there', async () => {
    await expect(forward(credentials, { ...TARGET, pod: 'forbidden-1' }, 2_000)).rejects.toMatchObject({ code: 4 })
    const gone = { ...credentials, server: { ...credentials.server, port: 1 } }
    await expect(forward(gone, TARGET, 2_000)).rejects.toMatchObject({ code: 3 })
  })
})

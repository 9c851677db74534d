// Tunnels and their places: however a tunnel ends, the tenant gets its concurrency back.
import { createHash } from 'node:crypto'
import type { Socket } from 'node:net'
import { expect, it } from 'vitest'
import { RawClient } from '../support/raw-client.ts'
import { startBackend } from '../support/scripted-backend.ts'
import { createTrial, until } from '../support/trial.ts'
import { route, service, tenant, to, world } from '../support/world.ts'

const trial = createTrial()
const KEY = 'dGhlIHNhbXBsZSBub25jZQ=='
const HANDSHAKE = `GET / HTTP/1.1\r\nHost: ws.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${KEY}\r\n\r\n`
const ACCEPT = createHash('sha1').update(`${KEY}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64')
const SWITCH = `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${ACCEPT}\r\n\r\n`

/** A gateway before a backend that switches and never closes by itself, whatever its peer does. */
async function setUp(more: Record<string, unknown> = {}) {
  const sockets: Socket[] = []
  const backend = await trial.keep(
    startBackend((socket) => {
      sockets.push(socket)
      socket.once('data', () => socket.write(SWITCH))
    }),
  )
  const gateway = await trial.gateway(
    world(
      tenant(['ws.test'], { limits: { concurrency: 2 } }),
      service('ws', [backend.port]),
      route('r', ['ws.test'], [to('ws', '/', more)]),
    ),
  )
  const open = async () => {
    const client = await RawClient.connect(gateway.port)
    await trial.keep({ close: () => client.destroy() })
    await client.send(HANDSHAKE)
    return { client, status: (await client.head()).status }
  }
  return { gateway, open, sockets, held: () => gateway.context.state.tenant('acme').concurrency.value() }
}

it('gives the place back when the client leaves and the backend stays', async () => {
  const { gateway, open, held } = await setUp({ timeouts: { idle: '200ms' } })
  for (let round = 0; round < 3; round += 1) {
    const { client, status } = await open()
    expect(status).toBe(101)
    client.destroy()
    await until(() => held() === 0)
  }
  expect(gateway.context.leases.size).toBe(0)
  expect(gateway.context.records.map(({ status }) => status)).toEqual([101, 101, 101])
})

it('gives the place back of a tunnel that was idle, or whose lease ended, once', async () => {
  const { gateway, open, held } = await setUp({ timeouts: { idle: '100ms' } })
  for (let round = 0; round < 3; round += 1) {
    const { client, status } = await open()
    expect(status).toBe(101)
    await client.closed()
    client.destroy()
    await until(() => held() === 0)
  }
  expect((await open()).status).toBe(101)
  gateway.context.leases.endEvery()
  await until(() => held() === 0)
  expect(gateway.context.leases.size).toBe(0)
})

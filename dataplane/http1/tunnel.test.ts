// WebSocket upgrades: only a valid 101 opens the tunnel, early bytes come first, both halves close by themselves.
import { createHash } from 'node:crypto'
import type net from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import {
  onRequests,
  type ScriptedBackend,
  send,
  settle,
  startBackend,
  until,
} from '../../test/support/scripted-backend.ts'
import type { Tunnel } from '../runtime/carrier.ts'

const KEY = 'dGhlIHNhbXBsZSBub25jZQ=='
const ACCEPT = createHash('sha1').update(`${KEY}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64')
const SWITCH = `HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\nSec-WebSocket-Accept: ${ACCEPT}\r\n\r\n`
const upgrade = {
  websocket: true,
  fields: ['Host', 'ws.test', 'Sec-WebSocket-Key', KEY, 'Sec-WebSocket-Version', '13'],
}
const backends: ScriptedBackend[] = []

async function backend(script: (socket: net.Socket, index: number) => void): Promise<ScriptedBackend> {
  const started = await startBackend(script)
  backends.push(started)
  return started
}

afterEach(async () => {
  for (const started of backends.splice(0)) await started.close()
})

interface Heard {
  text: string
  ended: boolean
  closed: number
  drains: number
}

function listen(tunnel: Tunnel, onChunk: () => void = () => {}): Heard {
  const heard: Heard = { text: '', ended: false, closed: 0, drains: 0 }
  tunnel.listen({
    onChunk(chunk) {
      heard.text += Buffer.from(chunk).toString('latin1')
      onChunk()
    },
    onEnd: () => {
      heard.ended = true
    },
    onDrain: () => {
      heard.drains += 1
    },
    onClose: () => {
      heard.closed += 1
    },
  })
  return heard
}

/** After the handshake, `text` in the same packet, then everything is echoed. */
const echo = (text = '') =>
  backend((socket) => {
    socket.once('data', () => {
      socket.write(SWITCH + text)
      socket.on('data', (chunk) => socket.write(chunk))
      socket.on('end', () => socket.end('bye'))
    })
  })

describe('upgrade', () => {
  it.each(['at once', 'later'])('opens a tunnel, early bytes first, listened to %s', async (when) => {
    const server = await echo('early')
    const client = server.client()
    let heard: Heard | undefined
    const log = await send(client, upgrade, {
      onTunnel: (tunnel) => {
        if (when === 'at once') heard = listen(tunnel)
      },
    }).done
    if (when === 'later') {
      await settle()
      heard = log.tunnel && listen(log.tunnel)
    }
    log.tunnel?.write(Buffer.from('hello'))
    await until(() => heard?.text === 'earlyhello')
    expect([client.idle, client.busy]).toEqual([0, 1])
    log.tunnel?.end()
    await until(() => heard?.ended === true && heard.closed === 1)
    expect(heard?.text).toBe('earlyhellobye')
    await until(() => client.busy === 0 && server.open.size === 0)
  })

  it('stops reading while paused', async () => {
    const server = await echo('one')
    const log = await send(server.client(), upgrade).done
    const { tunnel } = log
    if (tunnel === undefined) throw new Error('no tunnel')
    const heard = listen(tunnel, () => tunnel.pause())
    await until(() => heard.text === 'one')
    tunnel.write(Buffer.from('two'))
    await settle()
    expect(heard.text).toBe('one')
    tunnel.resume()
    await until(() => heard.text === 'onetwo')
    tunnel.destroy()
    await settle()
    expect(heard.closed).toBe(0)
  })

  it('waits for a backend that does not read', async () => {
    const server = await backend((socket) => {
      socket.once('data', () => {
        socket.pause()
        socket.write(SWITCH)
        setTimeout(() => socket.resume(), 100)
      })
    })
    const log = await send(server.client(), upgrade).done
    const heard = log.tunnel && listen(log.tunnel)
    let sent = 0
    while (log.tunnel?.write(Buffer.alloc(65_536)) && sent < 1000) sent += 1
    expect(sent).toBeLessThan(1000)
    await until(() => (heard?.drains ?? 0) > 0)
  })

  it('tells when the backend is gone', async () => {
    const server = await backend((socket) => {
      socket.once('data', () => {
        socket.write(SWITCH)
        socket.once('data', () => socket.resetAndDestroy())
      })
    })
    const client = server.client()
    const log = await send(client, upgrade).done
    const heard = log.tunnel && listen(log.tunnel)
    log.tunnel?.write(Buffer.from('x'))
    await until(() => heard?.closed === 1 && client.busy === 0)
  })

  it('gives an answer that is no 101 to the client, and the connection to nobody', async () => {
    const server = await backend((socket) =>
      onRequests(socket, () => socket.write('HTTP/1.1 403 No\r\nContent-Length: 5\r\n\r\nnever')),
    )
    const client = server.client()
    expect(await send(client, upgrade).done).toMatchObject({ status: 403, body: 'never', tunnel: undefined })
    expect([client.idle, client.busy]).toEqual([0, 0])
  })

  it.each([
    ['a wrong accept value', SWITCH.replace(ACCEPT, 'AAAA')],
    ['no accept value', SWITCH.replace(/Sec-WebSocket-Accept.*\r\n/, '')],
    ['two accept values', SWITCH.replace('\r\n\r\n', `\r\nSec-WebSocket-Accept: ${ACCEPT}\r\n\r\n`)],
    ['another protocol', SWITCH.replace('WebSocket\r', 'h2c\r')],
    ['no Connection: Upgrade', SWITCH.replace('keep-alive, Upgrade', 'keep-alive')],
    ['a body length', SWITCH.replace('\r\n\r\n', '\r\nContent-Length: 5\r\n\r\n')],
  ])('refuses a 101 with %s', async (_, text) => {
    const server = await backend((socket) => onRequests(socket, () => socket.write(text)))
    const log = await send(server.client(), upgrade).done
    expect(log).toMatchObject({ tunnel: undefined, failure: { code: 'UpstreamProtocolError', answered: true } })
  })
})

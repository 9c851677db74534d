// The client against backends that lie, stall, reset and poison. No other request may ever see what they did.
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
import { stalledListener } from '../../test/support/stalled-listener.ts'
import { createEndpointClient } from './client.ts'

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'
const CHUNKED = 'HTTP/1.1 200 OK\r\nX-A: 1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-T: 1\r\n\r\n'
const backends: ScriptedBackend[] = []

async function backend(...parts: Parameters<typeof startBackend>): Promise<ScriptedBackend> {
  const started = await startBackend(...parts)
  backends.push(started)
  return started
}

afterEach(async () => {
  for (const started of backends.splice(0)) await started.close()
})

/** The first connection answers with `text`, later ones properly. */
const first = (text: string, then: (socket: net.Socket) => void = () => {}) =>
  backend((socket, index) => {
    onRequests(socket, () => {
      socket.write(index === 0 ? text : OK, 'latin1', () => {
        if (index === 0) then(socket)
      })
    })
  })

describe('lies about framing', () => {
  it.each([
    ['two lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok'],
    ['a length and chunks', 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'],
    ['a length on 204', 'HTTP/1.1 204 None\r\nContent-Length: 2\r\n\r\nok'],
    ['a bad chunk', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n'],
    ['more chunk data than said', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nokay\r\n0\r\n\r\n'],
    ['101 that nobody asked for', 'HTTP/1.1 101 Switch\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n'],
    ['endless interim answers', 'HTTP/1.1 102 Work\r\n\r\n'.repeat(1000)],
    ['endless fields', `HTTP/1.1 200 OK\r\n${'X-A: 1\r\n'.repeat(20_000)}`],
    ['an endless field', `HTTP/1.1 200 OK\r\nX-A: ${'a'.repeat(100_000)}`],
    ['an endless reason', `HTTP/1.1 200 ${'a'.repeat(100_000)}`],
    ['another protocol', '220 mail.test ESMTP\r\n'],
    ['garbage', '\u0000\u0001\u0002\u00ff\u00fe'],
    ['bare LF', 'HTTP/1.1 200 OK\nContent-Length: 2\n\nok'],
  ])('ends with one protocol error: %s', async (_, text) => {
    const server = await first(text)
    const client = server.client()
    const log = await send(client).done
    expect(log.failure).toMatchObject({ code: 'UpstreamProtocolError', answered: true, nothingSent: false })
    expect(log.interims.length).toBeLessThanOrEqual(8)
    expect((await send(client).done).body).toBe('ok')
    expect([server.accepted, client.idle, client.busy]).toEqual([2, 1, 0])
  })

  it('calls a short body lost, and never ends it cleanly', async () => {
    for (const text of ['HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok', CHUNKED.slice(0, -2)]) {
      const server = await first(text, (socket) => socket.end())
      const log = await send(server.client()).done
      expect(log).toMatchObject({
        status: 200,
        trailers: undefined,
        failure: { code: 'UpstreamReset', answered: true },
      })
    }
  })

  it('takes no answer that came before the request', async () => {
    const server = await backend((socket, index) => {
      if (index === 0) socket.write('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil')
      onRequests(socket, () => socket.write(OK))
    })
    const client = server.client()
    // Nothing is written before the client's own body comes, so the bytes are there first.
    const log = await send(client, { method: 'POST', bodyLength: 2, expectContinue: false }).done
    expect(log.status === 0 || log.body === 'evil').toBe(true)
    expect((await send(client).done).body).toBe('ok')
    expect(server.accepted).toBe(2)
  })
})

describe('poisoned connections', () => {
  it.each([0, 1, 30])('a spare answer %i ms later is seen by nobody', async (wait) => {
    const server = await first(OK, (socket) => {
      if (wait === 0) socket.write('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil')
      else setTimeout(() => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil'), wait)
    })
    const client = server.client()
    expect((await send(client).done).body).toBe('ok')
    await until(() => client.idle === 0)
    expect((await send(client).done).body).toBe('ok')
    expect(server.accepted).toBe(2)
  })

  it('a single byte on an idle connection ends it', async () => {
    const server = await first(OK, (socket) => setTimeout(() => socket.write('\n'), 5))
    const client = server.client()
    await send(client).done
    await until(() => client.idle === 0 && server.open.size === 0)
  })

  it.each(['end', 'destroy', 'resetAndDestroy'] as const)(
    'an idle connection that is closed (%s) is not used',
    async (how) => {
      const server = await first(OK, (socket) => setTimeout(() => socket[how](), 5))
      const client = server.client()
      await send(client).done
      await until(() => client.idle === 0)
      expect((await send(client).done).body).toBe('ok')
    },
  )

  it('a connection closed at the moment of reuse is one failure that says what is known', async () => {
    const server = await backend((socket) => {
      onRequests(socket, (_, count) => {
        if (count === 0) socket.write(OK)
        else socket.destroy()
      })
    })
    const client = server.client()
    for (let turn = 0; turn < 20; turn += 1) {
      await send(client).done
      const log = await send(client).done
      expect(log.failure).toMatchObject({ code: 'UpstreamReset', nothingSent: false, answered: false })
      expect([client.idle, client.busy]).toEqual([0, 0])
    }
  })
})

describe('cuts at every byte', () => {
  it.each(['end', 'resetAndDestroy'] as const)('%s', async (how) => {
    let cut = 0
    const server = await backend((socket) => {
      onRequests(socket, () => {
        if (cut === 0) socket[how]()
        else {
          socket.write(CHUNKED.slice(0, cut))
          // The bytes must have been read before the reset, or the kernel may drop them on the way.
          setTimeout(() => socket[how](), 3)
        }
      })
    })
    const client = server.client()
    for (cut = 0; cut <= CHUNKED.length; cut += 1) {
      const log = await send(client).done
      if (cut === CHUNKED.length) expect(log.trailers).toEqual(['X-T', '1'])
      else {
        const headLength = CHUNKED.indexOf('\r\n\r\n') + 4
        expect(log).toMatchObject({ status: cut >= headLength ? 200 : 0, trailers: undefined })
        expect(log.failure).toMatchObject({ code: 'UpstreamReset', nothingSent: false, answered: cut > 0 })
        expect(client.idle).toBe(0)
      }
      expect(log.late).toBe(0)
    }
  })
})

describe('stalls', () => {
  it('no answer, and a head that drips for ever', async () => {
    const server = await backend((socket, index) => {
      socket.on('end', () => socket.destroy()).resume()
      if (index === 0) return
      const drip = setInterval(() => socket.write('X'), 10)
      socket.write('HTTP/1.1 200 OK\r\nX-A: ')
      socket.on('close', () => clearInterval(drip))
    })
    const client = server.client()
    const timeouts = { firstByte: 80 }
    expect((await send(client, {}, { timeouts }).done).failure).toMatchObject({
      code: 'UpstreamTimeout',
      answered: false,
    })
    expect((await send(client, {}, { timeouts }).done).failure).toMatchObject({
      code: 'UpstreamTimeout',
      answered: true,
    })
    await until(() => client.busy === 0 && server.open.size === 0)
  })

  it('an answer that stops, but not one that is merely slow or one that we do not read', async () => {
    const server = await backend((socket) => {
      onRequests(socket, (head) => {
        socket.write('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n')
        if (head.startsWith('GET /stop')) return
        let left = 5
        const drip = setInterval(() => {
          if (left-- > 0) socket.write('x')
          else clearInterval(drip)
        }, 40)
      })
    })
    const client = server.client()
    const timeouts = { firstByte: 1000, idle: 120 }
    const stopped = await send(client, { target: '/stop' }, { timeouts }).done
    expect(stopped).toMatchObject({ status: 200, failure: { code: 'UpstreamTimeout', answered: true } })
    expect((await send(client, {}, { timeouts }).done).body).toBe('xxxxx')
    const unread = send(client, {}, { timeouts, onChunk: (_, log) => log.body.length > 1 })
    await settle(400)
    expect(unread.log.failure).toBeUndefined()
    unread.call.resume()
    expect((await unread.done).body).toBe('xxxxx')
  })

  it('a backend that never reads', async () => {
    const server = await backend((socket) => socket.pause(), { pauseOnConnect: true })
    let sent = 0
    const pump = () => {
      while (sent < 1000 && run.call.write(Buffer.alloc(65_536))) sent += 1
    }
    const request = { method: 'POST', bodyLength: null }
    const run = send(server.client(), request, { timeouts: { firstByte: 200 }, onDrain: pump })
    pump()
    expect((await run.done).failure).toMatchObject({ code: 'UpstreamTimeout', nothingSent: false, answered: false })
    expect(sent).toBeLessThan(1000)
  })

  it('a slow client is not the backend’s fault', async () => {
    const server = await backend((socket) => {
      let text = ''
      socket.on('data', (chunk) => {
        text += chunk.toString('latin1')
        if (text.endsWith('end')) socket.write(OK)
      })
    })
    const run = send(server.client(), { method: 'POST', bodyLength: 3 }, { timeouts: { firstByte: 60 } })
    await settle(200)
    run.call.write(Buffer.from('end'))
    expect((await run.done).body).toBe('ok')
  })
})

describe('no connection', () => {
  it('refused', async () => {
    const server = await backend(() => {})
    const client = server.client()
    await server.close()
    const run = send(client, { method: 'POST', bodyLength: 5 })
    run.call.write(Buffer.from('hello'))
    expect((await run.done).failure).toMatchObject({
      code: 'UpstreamConnectFailed',
      cause: 'ECONNREFUSED',
      nothingSent: true,
      answered: false,
    })
    expect([client.idle, client.busy]).toEqual([0, 0])
  })

  it('never established', async () => {
    const listener = await stalledListener()
    const client = createEndpointClient({ address: '127.0.0.1', port: listener.port })
    const log = await send(client, {}, { timeouts: { connect: 50 } }).done
    listener.close()
    expect(log.failure).toMatchObject({
      code: 'UpstreamConnectFailed',
      cause: 'connect timeout',
      nothingSent: true,
      answered: false,
    })
    expect([client.idle, client.busy]).toEqual([0, 0])
  })
})

it('ten thousand mixed requests leave nothing behind', async () => {
  const answers = [
    OK,
    CHUNKED,
    'HTTP/1.1 204 None\r\n\r\n',
    'HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok',
    'HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n',
    'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok!',
    'HTTP/1.1 200 OK\r\nContent-Length: 1, 2\r\n\r\n',
    'garbage',
    '',
  ]
  let turn = 0
  const server = await backend((socket) => {
    onRequests(socket, () => {
      const text = answers[(turn = (turn * 7 + 3) % 1009) % answers.length] ?? ''
      if (text === '') socket.destroy()
      else socket.write(text, 'latin1')
      if (turn % 97 === 0) setImmediate(() => socket.write('x'))
    })
  })
  const client = server.client()
  let asked = 0
  let ends = 0
  let late = 0
  const worker = async (seed: number) => {
    while (asked < 10_000) {
      const number = asked++ * 31 + seed
      const body = number % 4 === 0 ? Buffer.alloc(number % 3000, 'b') : undefined
      const run = send(client, body ? { method: 'POST', bodyLength: number % 8 === 0 ? null : body.length } : {})
      if (body !== undefined) {
        run.call.write(body)
        if (number % 8 === 0) run.call.end(['X-T', '1'])
      }
      if (number % 11 === 0) {
        await settle(0)
        run.call.abort()
        ends += 1
      } else {
        await run.done
        ends += 1
        late += run.log.late
      }
    }
  }
  await Promise.all(Array.from({ length: 32 }, (_, seed) => worker(seed)))
  expect([ends, late]).toEqual([asked, 0])
  client.close()
  await until(() => client.busy === 0 && client.idle === 0 && server.open.size === 0)
})

// The client against backends that behave: framing both ways, reuse and what forbids it, backpressure, Expect, abort.
import { afterEach, describe, expect, it } from 'vitest'
import { readRequests } from '../../test/support/reference-request.ts'
import {
  onRequests,
  type ScriptedBackend,
  send,
  settle,
  startBackend,
  until,
} from '../../test/support/scripted-backend.ts'
import type { EndpointClient } from '../runtime/upstream.ts'
import { TransferMemory } from './socket.ts'

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'
const backends: ScriptedBackend[] = []

async function backend(...parts: Parameters<typeof startBackend>): Promise<ScriptedBackend> {
  const started = await startBackend(...parts)
  backends.push(started)
  return started
}

afterEach(async () => {
  for (const started of backends.splice(0)) await started.close()
})

/** Answers every head with the same text. */
const always = (text: string) => backend((socket) => onRequests(socket, () => socket.write(text, 'latin1')))

describe('answers', () => {
  it('reuses a clean connection', async () => {
    const server = await always(OK)
    const client = server.client()
    for (let turn = 0; turn < 3; turn += 1) {
      const log = await send(client).done
      expect(log).toMatchObject({ status: 200, length: 2, body: 'ok', trailers: [], late: 0 })
      expect([client.idle, client.busy]).toEqual([1, 0])
    }
    expect(server.accepted).toBe(1)
  })

  it('tells of a kept connection that was lost, and trusts none of its neighbours', async () => {
    let answering = true
    const server = await backend((socket) =>
      onRequests(socket, () => (answering ? setTimeout(() => socket.write(OK), 20) : socket.destroy())),
    )
    const client = server.client()
    await Promise.all(Array.from({ length: 3 }, () => send(client).done))
    expect(client.idle).toBe(3)
    answering = false
    expect((await send(client).done).failure).toMatchObject({ code: 'UpstreamReset', reused: true, answered: false })
    expect(client.idle).toBe(0)
    expect((await send(client).done).failure).toMatchObject({ code: 'UpstreamReset', reused: false, answered: false })
  })

  it.each([
    ['HEAD with a length', 'HEAD', 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n', 0],
    ['204', 'GET', 'HTTP/1.1 204 None\r\n\r\n', 0],
    ['304 with a length', 'GET', 'HTTP/1.1 304 Same\r\nContent-Length: 5\r\n\r\n', 0],
    ['chunks', 'GET', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 1\r\n\r\n', null],
    ['a length of 0', 'GET', 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n', 0],
  ])('keeps the connection after %s', async (_, method, text, length) => {
    const server = await always(text)
    const client = server.client()
    for (let turn = 0; turn < 2; turn += 1) {
      const log = await send(client, { method }).done
      expect(log).toMatchObject({ length, body: length === null ? 'ok' : '', failure: undefined })
      expect(log.trailers).toEqual(length === null ? ['X-Sum', '1'] : [])
    }
    expect(server.accepted).toBe(1)
  })

  it.each([
    ['Connection: close', 'HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok'],
    ['HTTP/1.0', 'HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok'],
    ['HTTP/1.0 that promises more', 'HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok'],
    ['a byte too many', 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok!'],
    ['a second answer', `${OK}${OK}`],
    ['a body on 204', 'HTTP/1.1 204 None\r\n\r\nok'],
    ['a user bound to it', 'HTTP/1.1 401 No\r\nWWW-Authenticate: Negotiate\r\nContent-Length: 0\r\n\r\n'],
    ['Keep-Alive: timeout=0', 'HTTP/1.1 200 OK\r\nKeep-Alive: timeout=0\r\nContent-Length: 0\r\n\r\n'],
  ])('gives the answer but not the connection to the next after %s', async (_, text) => {
    const server = await always(text)
    const client = server.client()
    for (let turn = 0; turn < 2; turn += 1) expect((await send(client).done).trailers).toEqual([])
    expect([client.idle, client.busy]).toEqual([0, 0])
    expect(server.accepted).toBe(2)
  })

  it('does not reuse after a GET with a body, or a request that authenticates the connection', async () => {
    const server = await always(OK)
    const client = server.client()
    const get = send(client, { bodyLength: 2 })
    get.call.write(Buffer.from('hi'))
    await get.done
    await send(client, { fields: ['Host', 'a', 'Authorization', 'NTLM abc'] }).done
    await send(client).done
    expect(server.accepted).toBe(3)
  })

  it('reads until the close where there is no length, and only a clean one counts', async () => {
    const server = await backend((socket, index) => {
      onRequests(socket, () => {
        socket.write('HTTP/1.1 200 OK\r\n\r\nall of it')
        if (index === 0) socket.end()
        else setTimeout(() => socket.resetAndDestroy(), 20)
      })
    })
    const client = server.client()
    expect(await send(client).done).toMatchObject({ length: null, body: 'all of it', trailers: [] })
    const cut = await send(client).done
    expect(cut).toMatchObject({ status: 200, trailers: undefined, failure: { code: 'UpstreamReset', answered: true } })
  })

  it('passes interim answers on', async () => {
    const server = await always(`HTTP/1.1 103 Early\r\nLink: </a>\r\n\r\nHTTP/1.1 102 Work\r\n\r\n${OK}`)
    expect(await send(server.client()).done).toMatchObject({ interims: [103, 102], status: 200, body: 'ok' })
  })
})

describe('requests', () => {
  const collect = async (part: Parameters<typeof send>[1], write: (run: ReturnType<typeof send>) => void) => {
    let text = ''
    const server = await backend((socket) => {
      socket.on('data', (chunk) => {
        text += chunk.toString('latin1')
        if (readRequests(text)?.length === 1) socket.write(OK)
      })
    })
    const client = server.client()
    const run = send(client, part)
    write(run)
    const log = await run.done
    return { log, request: readRequests(text)?.[0], idle: client.idle }
  }

  it('frames a body of known length', async () => {
    const { log, request, idle } = await collect({ method: 'POST', bodyLength: 10 }, ({ call }) => {
      call.write(Buffer.from('hello'))
      call.write(Buffer.from('world'))
      call.end([])
    })
    expect([log.status, request?.body, idle]).toEqual([200, 'helloworld', 1])
  })

  it('frames a body in chunks, with trailers, and copies what it is given', async () => {
    const { log, request, idle } = await collect({ method: 'POST', bodyLength: null }, ({ call }) => {
      const view = Buffer.from('hello')
      call.write(view)
      view.fill('x')
      call.write(Buffer.alloc(0))
      call.write(Buffer.alloc(100_000, 'y'))
      call.end(['X-Sum', 'abc', 'Host', 'evil.test'])
    })
    expect(log.status).toBe(200)
    expect(request?.body).toBe(`hello${'y'.repeat(100_000)}`)
    expect([request?.trailers, idle]).toEqual([['X-Sum', 'abc'], 1])
  })

  it('writes late bodies too, head first', async () => {
    const { request } = await collect({ method: 'PUT', bodyLength: 4 }, ({ call }) => {
      setTimeout(() => call.write(Buffer.from('la')), 20)
      setTimeout(() => call.write(Buffer.from('te')), 30)
    })
    expect([request?.method, request?.body]).toEqual(['PUT', 'late'])
  })

  it('holds no more than 64 KiB before the connection stands, and says when there is room', async () => {
    const piece = Buffer.alloc(16_384, 'z')
    const { log, request } = await collect({ method: 'POST', bodyLength: 8 * 16_384 }, (run) => {
      const rooms = [1, 2, 3, 4].map(() => run.call.write(piece))
      expect(rooms).toEqual([true, true, true, false])
      const more = setInterval(() => {
        if (run.log.drains === 0) return
        clearInterval(more)
        for (let turn = 0; turn < 4; turn += 1) run.call.write(piece)
      }, 2)
    })
    expect(log.drains).toBeGreaterThan(0)
    expect(request?.body.length).toBe(8 * 16_384)
  })

  it('ends the attempt where the body is not as long as declared', async () => {
    const server = await backend((socket) => onRequests(socket, () => {}))
    const client = server.client()
    const long = send(client, { method: 'POST', bodyLength: 3 })
    long.call.write(Buffer.from('four'))
    expect((await long.done).failure?.code).toBe('UpstreamProtocolError')
    const short = send(client, { method: 'POST', bodyLength: 3 })
    await settle()
    short.call.write(Buffer.from('tw'))
    short.call.end([])
    expect((await short.done).failure?.code).toBe('UpstreamProtocolError')
    expect([client.idle, client.busy]).toEqual([0, 0])
  })

  it('throws for what cannot be written, and leaks no connection', async () => {
    const server = await always(OK)
    const client = server.client()
    expect(() => send(client, { target: '/a b' })).toThrow(TypeError)
    expect([client.idle, client.busy]).toEqual([0, 0])
  })
})

describe('Expect: 100-continue', () => {
  const expecting = { method: 'POST', bodyLength: 5, expectContinue: true }

  it('sends the body after the 100', async () => {
    let early = ''
    const server = await backend((socket) => {
      socket.once('data', (head) => {
        early = head.toString('latin1')
        setTimeout(() => {
          socket.write('HTTP/1.1 100 Continue\r\n\r\n')
          socket.once('data', (body) =>
            socket.write(`HTTP/1.1 201 Made\r\nContent-Length: ${body.length}\r\n\r\n${body}`),
          )
        }, 20)
      })
    })
    const client = server.client()
    const run = send(client, expecting)
    run.call.write(Buffer.from('hello'))
    expect(await run.done).toMatchObject({ interims: [100], status: 201, body: 'hello' })
    expect(early).toMatch(/\r\nExpect: 100-continue\r\n.*\r\n\r\n$/s)
    expect(client.idle).toBe(1)
  })

  it('never sends the body after a final answer, nor uses the connection again', async () => {
    let received = ''
    const server = await backend((socket) => {
      socket.on('data', (chunk) => (received += chunk.toString('latin1')))
      socket.once('data', () => socket.write('HTTP/1.1 417 No\r\nContent-Length: 4\r\n\r\nno'))
      setTimeout(() => socket.write('pe'), 40)
    })
    const client = server.client()
    const run = send(client, expecting)
    run.call.write(Buffer.from('hello'))
    expect(await run.done).toMatchObject({ interims: [], status: 417, body: 'nope' })
    await settle()
    expect(received).not.toContain('hello')
    expect([client.idle, client.busy]).toEqual([0, 0])
  })

  it('sends the body anyway where no 100 comes, and says so', async () => {
    const server = await backend((socket) => {
      let text = ''
      socket.on('data', (chunk) => {
        text += chunk.toString('latin1')
        if (text.endsWith('hello')) socket.write(OK)
      })
    })
    let call: ReturnType<typeof send>['call'] | undefined
    const run = send(server.client(), expecting, { onDrain: () => call?.write(Buffer.from('hello')) })
    call = run.call
    expect(await run.done).toMatchObject({ interims: [], status: 200, drains: 1 })
  })
})

describe('flow and life', () => {
  it('stops reading where the exchange cannot take more, and goes on', async () => {
    const size = 32 * 1024 * 1024
    const server = await backend((socket) => {
      onRequests(socket, () => {
        socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${size}\r\n\r\n`)
        socket.write(Buffer.alloc(size, 'a'))
      })
    })
    let taken = 0
    let open = false
    const run = send(
      server.client(),
      {},
      {
        onChunk(chunk, log) {
          log.body = ''
          taken += chunk.length
          return open
        },
      },
    )
    await settle(100)
    expect(taken).toBeGreaterThan(0)
    expect(taken).toBeLessThan(1_000_000)
    open = true
    run.call.resume()
    await run.done
    expect(taken).toBe(size)
  })

  it('tells the sender to wait where the backend does not read', async () => {
    const server = await backend((socket) => {
      socket.pause()
      socket.once('resume', () => onRequests(socket, () => {}))
    })
    const run = send(server.client(), { method: 'POST', bodyLength: null })
    await settle()
    const piece = Buffer.alloc(65_536)
    let sent = 0
    while (run.call.write(piece) && sent < 1000) sent += 1
    expect(sent).toBeLessThan(1000)
    run.call.abort()
    expect(run.call.write(piece)).toBe(true)
    run.call.end([])
    run.call.resume()
    await settle()
    expect([run.log.failure, run.log.trailers, run.log.late]).toEqual([undefined, undefined, 0])
  })

  it.each(['while connecting', 'in the head', 'in a chunk'])('says nothing after an abort %s', async (when) => {
    const server = await always('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npart')
    const client = server.client()
    const abort = () => run.call.abort()
    const run = send(
      client,
      {},
      {
        ...(when === 'in the head' ? { onHead: abort } : {}),
        onChunk: () => {
          abort()
          return true
        },
      },
    )
    if (when === 'while connecting') abort()
    await settle()
    expect([run.log.failure, run.log.trailers, run.log.late]).toEqual([undefined, undefined, 0])
    expect(run.log.body).toBe(when === 'in a chunk' ? 'part' : '')
    await until(() => client.busy === 0 && server.open.size === 0)
  })

  it('closes idle connections by itself, before a backend that says when it will', async () => {
    const server = await always('HTTP/1.1 200 OK\r\nKeep-Alive: max=100, timeout=1\r\nContent-Length: 0\r\n\r\n')
    const client = server.client({ idleTimeout: 30 })
    await send(client).done
    expect(client.idle).toBe(1)
    await until(() => client.idle === 0 && server.open.size === 0)
    const learnt = server.client({ idleTimeout: 600_000 })
    await send(learnt).done
    await until(() => learnt.idle === 0)
  })

  it('gives no connection a request beyond its age or a crowd of idle ones', async () => {
    const server = await always(OK)
    const old = server.client({ maxAge: 0 })
    await send(old).done
    expect([old.idle, old.busy]).toEqual([0, 0])
    const small = server.client({ maxIdle: 2 })
    await Promise.all([1, 2, 3, 4].map(() => send(small).done))
    expect([small.idle, small.busy]).toEqual([2, 0])
  })

  it('drains: idle connections close at once, busy ones after their request', async () => {
    const server = await backend((socket) => onRequests(socket, () => setTimeout(() => socket.write(OK), 30)))
    const client = server.client()
    await send(client).done
    const running = send(client)
    const other = send(client)
    client.close()
    expect(await running.done).toMatchObject({ body: 'ok' })
    expect(await other.done).toMatchObject({ body: 'ok' })
    expect(await send(client).done).toMatchObject({ body: 'ok' })
    expect([client.idle, client.busy]).toEqual([0, 0])
  })

  it('uses the connection that was used last', async () => {
    const server = await backend((socket, index) => {
      const text = `HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n${index}`
      onRequests(socket, () => setTimeout(() => socket.write(text), 5 + 10 * index))
    })
    const client = server.client()
    await Promise.all([send(client).done, send(client).done])
    expect((await send(client).done).body).toBe('1')
    expect((await send(client).done).body).toBe('1')
  })
})

it('mixes no bytes between connections that share their buffers, however slowly a peer reads', async () => {
  const server = await backend((socket) => {
    let head = ''
    let left = 0
    socket.on('data', (chunk: Buffer) => {
      let body = chunk
      if (left === 0) {
        const end = chunk.indexOf('\r\n\r\n') + 4
        head = chunk.toString('latin1', 0, end)
        left = Number(/content-length: (\d+)/i.exec(head)?.[1])
        body = chunk.subarray(end)
        socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${left}\r\n\r\n`)
      }
      left -= body.length
      socket.write(body)
      // Reads in fits, so that writes of the other side stay unfinished.
      socket.pause()
      setTimeout(() => socket.resume(), 1)
    })
  })
  const memory = new TransferMemory()
  const clients = [server.client({ memory }), server.client({ memory })]
  const runs = Array.from({ length: 8 }, async (_, number) => {
    const length = 10_000_000 + number
    const view = Buffer.alloc(50_000)
    let left = length
    let foreign = 0
    let back = 0
    const pump = () => {
      while (left > 0) {
        const size = Math.min(left, view.length)
        left -= size
        const room = run.call.write(view.fill(number).subarray(0, size))
        // The view is the caller's again: what is in flight must not change with it.
        view.fill(0xee)
        if (!room) return
      }
    }
    const run = send(
      clients[number % 2] as EndpointClient,
      { method: 'POST', bodyLength: length },
      {
        onDrain: pump,
        onChunk(chunk, log) {
          log.body = ''
          back += chunk.length
          if (Buffer.compare(chunk, Buffer.alloc(chunk.length, number)) !== 0) foreign += 1
          return true
        },
      },
    )
    pump()
    const log = await run.done
    return [log.failure, back - length, foreign]
  })
  expect(await Promise.all(runs)).toEqual(Array.from({ length: 8 }, () => [undefined, 0, 0]))
})

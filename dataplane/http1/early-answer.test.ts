// A backend that answers before it has read the body and closes: the answer reaches us each time, though our writes fail.
// And what is said of bytes that the kernel never took. The backend runs in its own thread.
import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import { afterEach, expect, it } from 'vitest'
import { type RunningAttempt, send, settle, startBackend, until } from '../../test/support/scripted-backend.ts'
import type { EndpointClient } from '../runtime/upstream.ts'
import { createEndpointClient } from './client.ts'

const PIECE = Buffer.alloc(65_536, 'b')
const workers: Worker[] = []
const clients: EndpointClient[] = []

async function refusing(mode: 'refuse' | 'reset'): Promise<EndpointClient> {
  const worker = new Worker(new URL('../../test/support/refusing-backend.mjs', import.meta.url), { workerData: mode })
  workers.push(worker)
  const [port] = await once(worker, 'message')
  const client = createEndpointClient({ address: '127.0.0.1', port: Number(port) })
  clients.push(client)
  return client
}

afterEach(async () => {
  for (const client of clients.splice(0)) client.close()
  await Promise.all(workers.splice(0).map((worker) => worker.terminate()))
})

/** Blocks this thread, so that what the peer does meanwhile waits in the kernel. */
function block(milliseconds: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds)
}

/** Sends `total` bytes as fast as they are taken. */
function upload(client: EndpointClient, total: number): RunningAttempt {
  let left = total
  const pump = () => {
    while (left > 0) {
      const piece = PIECE.subarray(0, Math.min(left, PIECE.length))
      left -= piece.length
      if (!run.call.write(piece)) return
    }
  }
  const run = send(client, { method: 'POST', bodyLength: total }, { onDrain: pump })
  pump()
  return run
}

it('delivers the refusal of a 200 MB upload, 200 times of 200', async () => {
  const client = await refusing('refuse')
  for (let turn = 0; turn < 200; turn += 1) {
    const log = await upload(client, 200_000_000).done
    expect(log).toMatchObject({ status: 413, body: 'too big', failure: undefined, late: 0 })
  }
  expect([client.idle, client.busy]).toEqual([0, 0])
}, 60_000)

it('delivers it many at a time, and from a backend in the same thread', async () => {
  const client = await refusing('refuse')
  const logs = await Promise.all(Array.from({ length: 50 }, () => upload(client, 20_000_000).done))
  expect(logs.filter((log) => log.status === 413 && log.body === 'too big')).toHaveLength(50)
  const server = await startBackend((socket) => {
    socket.once('data', () => {
      socket.pause()
      socket.write('HTTP/1.1 413 No\r\nContent-Length: 0\r\n\r\n', () => socket.resetAndDestroy())
    })
  })
  const near = server.client()
  for (let turn = 0; turn < 50; turn += 1) expect((await upload(near, 20_000_000).done).status).toBe(413)
  await server.close()
})

it('delivers an answer that waits in the receive buffer when the write fails', async () => {
  const client = await refusing('refuse')
  for (let turn = 0; turn < 20; turn += 1) {
    const run = send(client, { method: 'POST', bodyLength: 10_000_000 })
    await until(() => client.busy === 1)
    run.call.write(PIECE)
    await settle(turn % 3)
    run.call.write(PIECE)
    block(15)
    // The answer and the reset are both here by now, unread.
    for (let piece = 0; piece < 5; piece += 1) run.call.write(PIECE)
    expect(await run.done).toMatchObject({ status: 413, body: 'too big', failure: undefined })
  }
})

it('says that nothing was sent where the kernel took no byte, and only there', async () => {
  const client = await refusing('reset')
  expect((await send(client).done).body).toBe('ok')
  block(40)
  // The reset waits in the kernel; the connection still looks idle.
  expect(client.idle).toBe(1)
  const late = await send(client, { method: 'POST', bodyLength: 0 }).done
  expect(late.failure).toMatchObject({ code: 'UpstreamReset', nothingSent: true, answered: false })

  const server = await startBackend((socket) => socket.once('data', () => socket.destroy()))
  const lost = await send(server.client()).done
  expect(lost.failure).toMatchObject({ code: 'UpstreamReset', nothingSent: false, answered: false })
  await server.close()
})

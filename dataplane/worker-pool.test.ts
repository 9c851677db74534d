// What the pool does about threads that do not do as they should: one that stands still, one of another build.
import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import { describe, expect, it } from 'vitest'
import { startDataplane } from './main.ts'
import { WorkerGone, WorkerMember } from './worker-pool.ts'

function memberOf(script: string): { readonly member: WorkerMember; readonly thread: Worker } {
  const thread = new Worker(script, { eval: true })
  return { member: new WorkerMember(0, thread, () => {}), thread }
}

describe('a worker', () => {
  it('that stands still is ended after so many looks, and whoever waits for it is told', async () => {
    const { member, thread } = memberOf('for (;;) {}')
    await once(thread, 'online')
    const ended = once(thread, 'exit').then(() => member.end())
    const answer = member.ask({ type: 'flush' }, 'flushed')
    // A beat that moves is a loop that turns, however slowly.
    for (let beat = 1; beat < 10; beat++) member.look(beat, 2)
    member.look(9, 2)
    expect(member.reason).toBe('it was told to')
    member.look(9, 2)
    expect(member.reason).toBe('it stood still')
    await expect(answer).rejects.toThrow(WorkerGone)
    await ended
    await expect(member.ask({ type: 'flush' }, 'flushed')).rejects.toThrow(WorkerGone)
  })

  it('that answers something else, or of another build, is not believed', async () => {
    const { member, thread } = memberOf(`
      const { parentPort } = require('node:worker_threads')
      parentPort.on('message', ({ request }) => parentPort.postMessage({ version: 3, type: 'drained', request }))
    `)
    await expect(member.ask({ type: 'flush' }, 'flushed')).rejects.toThrow('answered drained')
    await thread.terminate()
  })

  it('that cannot start makes the start fail with its reason, and leaves nothing behind', async () => {
    const start = startDataplane({
      workers: 2,
      host: '127.0.0.1',
      port: 0,
      tlsPort: null,
      adminPort: null,
      accessLog: 'off',
      trustForwarded: ['10.0.0.0/99'],
    })
    await expect(start).rejects.toThrow('10.0.0.0/99 is no range of addresses')
  })
})

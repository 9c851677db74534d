// How long the machine itself keeps a busy thread from going on: a thread that works three milliseconds in ten and looks
// how long that took. Where it stands still for long, nobody else's stalls can be judged. Used by the tests on a cluster.
import { Worker } from 'node:worker_threads'
import { putFirst } from './processes.ts'

const NAME = 'yardstick'

const WORK = `
const { parentPort } = require('worker_threads')
let longest = 0
setInterval(() => {
  const from = performance.now()
  const used = process.threadCpuUsage()
  const spent = () => { const { user, system } = process.threadCpuUsage(used); return (user + system) / 1000 }
  while (spent() < 3);
  longest = Math.max(longest, performance.now() - from - spent())
}, 10)
parentPort.on('message', () => { parentPort.postMessage(longest); longest = 0 })
`

/** A thread that is held up as any other is. */
export class Yardstick {
  readonly #worker = new Worker(WORK, { eval: true, name: NAME })

  /** Milliseconds of the longest standstill since this was asked last. */
  async take(): Promise<number> {
    return await new Promise((resolve) => {
      this.#worker.once('message', resolve)
      this.#worker.postMessage('')
    })
  }

  /** Only what holds up even those who come before all others is a standstill from now on. */
  async putFirst(): Promise<void> {
    // Its answer says that there is a thread to put.
    await this.take()
    putFirst(process.pid, (name) => name === NAME)
  }

  async stop(): Promise<void> {
    await this.#worker.terminate()
  }
}

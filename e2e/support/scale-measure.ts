// What the test of scale reads of processes: metrics of both halves, and memory and sockets of the first process of a
// container, read inside it.
import { request } from 'node:http'
import { NAMESPACE, type Pod, podsOf } from './installation.ts'
import { kubectl } from './kubectl.ts'
import { atriumProcess, putFirst } from './processes.ts'
import { Yardstick } from './yardstick.ts'

const METRICS_PORT = 9_903

/** Metrics of one pod. */
export class PodMetrics {
  readonly pod: string
  readonly #samples: readonly { readonly name: string; readonly labels: string; readonly value: number }[]

  constructor(pod: string, text: string) {
    this.pod = pod
    this.#samples = text.split('\n').flatMap((line) => {
      const [, name = '', labels = '', value = ''] = /^([a-z_]+)(?:\{(.*)\})? (\S+)$/.exec(line) ?? []
      return name === '' ? [] : [{ name, labels, value: Number(value) }]
    })
  }

  /** The sum of all samples whose labels contain each of these. */
  sum(name: string, ...labels: readonly string[]): number {
    return this.#of(name, labels).reduce((sum, { value }) => sum + value, 0)
  }

  /** The greatest of them. */
  most(name: string, ...labels: readonly string[]): number {
    return Math.max(0, ...this.#of(name, labels).map(({ value }) => value))
  }

  #of(name: string, labels: readonly string[]) {
    return this.#samples.filter((each) => each.name === name && labels.every((label) => each.labels.includes(label)))
  }
}

/** Metrics of every pod of one half that answers. */
export async function readMetrics(component: 'controller' | 'dataplane', pods = podsOf(component)) {
  const read = await Promise.all(pods.map(metricsOf))
  return read.filter((each) => each !== undefined)
}

/** The leader's. */
export async function leaderMetrics(pods?: readonly Pod[]): Promise<PodMetrics | undefined> {
  return (await readMetrics('controller', pods)).find((metrics) => metrics.sum('atrium_leader') === 1)
}

/** Memory and sockets of the first process of a pod. Bytes. */
export interface ProcessFacts {
  readonly peak: number
  readonly now: number
  /** Established connections to port 443 or 6443. */
  readonly toApi: number
}

const READ = `
const { readFileSync } = require('fs')
const status = readFileSync('/proc/1/status', 'utf8')
const bytes = (name) => 1024 * Number((new RegExp(name + ':\\\\s+(\\\\d+)').exec(status) || [])[1])
const lines = ['tcp', 'tcp6'].flatMap((file) => readFileSync('/proc/1/net/' + file, 'utf8').split('\\n').slice(1))
const remote = lines.map((line) => line.trim().split(/\\s+/)).filter((parts) => parts[3] === '01').map((parts) => parseInt(parts[2].split(':')[1], 16))
console.log(JSON.stringify({ peak: bytes('VmHWM'), now: bytes('VmRSS'), toApi: remote.filter((port) => port === 443 || port === 6443).length }))
`

/** Reads them with the container's own Node. */
export function processFacts(pod: string): ProcessFacts {
  return JSON.parse(kubectl(['exec', '-n', NAMESPACE, pod, '--', '/usr/local/bin/node', '-e', READ])) as ProcessFacts
}

/** Seconds from the start of a pod's process to when it wrote that event. undefined: it did not. */
export async function secondsUntil(pod: Pod, event: string): Promise<number | undefined> {
  const line = kubectl(['logs', '-n', NAMESPACE, pod.metadata.name, '--timestamps'])
    .split('\n')
    .find((each) => each.includes(`"${event}"`))
  const metrics = await metricsOf(pod)
  if (line === undefined || metrics === undefined) return undefined
  return Date.parse(line.slice(0, line.indexOf(' '))) / 1_000 - metrics.sum('process_start_time_seconds')
}

/**
 * Puts the workers of all dataplane pods before whatever else the machine does, for a machine that is too busy to say how
 * long a turn is. Main threads stay where they are: no request waits for them. Returns the number of threads, 0 where this
 * machine does not see them or has no rights.
 */
export function putWorkersFirst(): number {
  return podsOf('dataplane').reduce((sum, { metadata }) => {
    const pid = atriumProcess(metadata.uid, 'dataplane')
    return pid === undefined ? sum : sum + putFirst(pid, (_name, isMain) => !isMain)
  }, 0)
}

/**
 * The longest turns of event loops while something runs, in milliseconds. Each second's longest is looked at.
 * @param areFirst the workers come before all others: only what holds up even those counts as a standstill of the machine.
 */
export async function watchLoops<Result>(run: () => Promise<Result>, areFirst = false) {
  const pods = podsOf('dataplane')
  const controllers = podsOf('controller')
  const longest = { workers: 0, main: 0, controllers: 0, machine: 0 }
  const yardstick = new Yardstick()
  let ended = false
  const look = async () => {
    for (const metrics of await readMetrics('dataplane', pods)) {
      const main = metrics.most('atrium_eventloop_lag_seconds', 'worker="main"')
      const workers = [0, 1, 2, 3].map((worker) => metrics.most('atrium_eventloop_lag_seconds', `worker="${worker}"`))
      longest.main = Math.max(longest.main, 1_000 * main)
      longest.workers = Math.max(longest.workers, 1_000 * Math.max(...workers))
    }
    for (const metrics of await readMetrics('controller', controllers)) {
      longest.controllers = Math.max(longest.controllers, 1_000 * metrics.most('atrium_eventloop_lag_seconds'))
    }
  }
  if (areFirst) await yardstick.putFirst()
  await readMetrics('controller', controllers)
  const watching = (async () => {
    while (!ended) {
      await look()
      await new Promise((resolve) => setTimeout(resolve, 700))
    }
    // The second in which it ended is told after it.
    await new Promise((resolve) => setTimeout(resolve, 1_000))
    await look()
  })()
  try {
    const result = await run()
    return { result, longest }
  } finally {
    ended = true
    await watching
    longest.machine = await yardstick.take()
    await yardstick.stop()
  }
}

async function metricsOf({ metadata, status }: Pod): Promise<PodMetrics | undefined> {
  const { podIP } = status
  if (podIP === undefined) return undefined
  try {
    return new PodMetrics(metadata.name, await fetchText(podIP, METRICS_PORT, '/metrics'))
  } catch {
    return undefined
  }
}

function fetchText(host: string, port: number, path: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const call = request({ host, port, path, timeout: 5_000, agent: false }, (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk
      })
      response.on('end', () => resolve(text)).on('error', reject)
    })
    call.on('timeout', () => call.destroy(new Error('no answer in time'))).on('error', reject)
    call.end()
  })
}

// The limits at full size, over real sockets with 1, 2 and 8 workers: the admitted rate over 10 s, the bound on requests
// in flight, and 100,000 requests cut off at random points, after which every count must be back at zero.
// usage: node test/long/limits.ts [--workers 1,2,8] [--seconds 10] [--requests 100000]; exit 1 where a promise is broken
import { parseArgs } from 'node:util'
import { startDataplane } from '../../dataplane/main.ts'
import {
  leftovers,
  runConcurrency,
  runCuts,
  runRate,
  startCountingBackend,
  untilNothingIsLeft,
} from '../support/limit-runs.ts'
import { smallSnapshot, type SmallTenant } from '../support/snapshots.ts'

const { values } = parseArgs({
  options: {
    workers: { type: 'string', default: '1,2,8' },
    seconds: { type: 'string', default: '10' },
    requests: { type: 'string', default: '100000' },
  },
})
const seconds = Number(values.seconds)
const requests = Number(values.requests)
const RATE = { count: 400, seconds: 1, burst: 400 }
const BOUND = 10
const problems: string[] = []

for (const workers of values.workers.split(',').map(Number)) {
  const backend = await startCountingBackend()
  const plane = await startDataplane({
    workers,
    host: '127.0.0.1',
    port: 0,
    tlsPort: null,
    adminPort: null,
    accessLog: '/dev/null',
    workerHeap: 256,
    notice: ({ text }) => console.error(text),
  })
  const tenant = (name: string, limits: SmallTenant['limits']): SmallTenant => ({
    tenant: name,
    host: `${name}.test`,
    ports: [backend.port],
    ...(limits === undefined ? {} : { limits }),
  })
  await plane.activate(
    smallSnapshot([
      tenant('rate', { requests: RATE }),
      tenant('bound', { concurrency: BOUND }),
      tenant('cuts', {
        requests: { count: 1_000_000, seconds: 1, burst: 1_000_000 },
        concurrency: 50,
        connections: 200,
      }),
    ]),
    1,
  )
  const port = plane.ports.http

  const rate = await runRate(port, 'rate.test', RATE, seconds)
  console.log(
    `${workers} workers: rate ${RATE.count}/s: offered ${Math.round(rate.offered / rate.seconds)}/s, admitted ` +
      `${rate.admitted} in ${rate.seconds.toFixed(2)} s, ${(rate.ratio * 100).toFixed(2)} % of the limit once the burst was used up`,
  )
  if (rate.admitted > RATE.burst + RATE.count * rate.seconds + 1)
    problems.push(`${workers} workers: ${rate.admitted} admitted`)
  if (Math.abs(rate.ratio - 1) > 0.01) problems.push(`${workers} workers: admitted ${rate.ratio} of the limit`)

  const before = backend.highest()
  const statuses = await runConcurrency(port, 'bound.test', Math.min(5, seconds), 60)
  console.log(
    `${workers} workers: concurrency ${BOUND}: at most ${backend.highest()} in the backend (${before} before), answers ` +
      [...statuses].map(([status, count]) => `${status}: ${count}`).join(', '),
  )
  if (backend.highest() > Math.max(BOUND, before)) problems.push(`${workers} workers: ${backend.highest()} at once`)

  const memory: number[] = []
  const step = Math.max(1, Math.ceil(requests / 10))
  for (let sent = 0; sent < requests; sent += step) {
    await runCuts(port, 'cuts.test', Math.min(step, requests - sent), 50)
    memory.push(Math.round(process.memoryUsage.rss() / 1_048_576))
  }
  const left = await untilNothingIsLeft(plane, 20_000)
  console.log(
    `${workers} workers: ${requests} requests cut off, left over: ${left.length === 0 ? 'nothing' : left.join('; ')}`,
  )
  console.log(`${workers} workers: resident MiB after each tenth (client and backend included): ${memory.join(' ')}`)
  problems.push(...left.map((text) => `${workers} workers: ${text}`))
  await plane.stop()
  await backend.close()
  if ((await leftovers(plane).catch(() => [])).length > 0) problems.push('something was held after the stop')
}
for (const problem of problems) console.error(`broken: ${problem}`)
process.exit(problems.length === 0 ? 0 : 1)

// A pod for push.ts in a process of its own: the real receiving side, with a map where the dataplane would be.
// usage: node bench/push-pod.ts <uid> <token file> <authority file> <controller host:port> [last good folder]
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { startReceiver } from '../dataplane/receive/receiver.ts'
import { FakeDataplane, RELEASE, snapshotOf } from '../test/support/publish-world.ts'

const [uid = '', tokenFile = '', authorityFile = '', controller = '', folder] = process.argv.slice(2)
const dataplane = new FakeDataplane()
// The root of everything is made by nobody here but the receiver: it is not what is measured.
dataplane.notes = false
await startReceiver({
  release: RELEASE,
  name: uid,
  uid,
  host: '127.0.0.1',
  port: 0,
  controllers: [controller],
  tokenFile,
  authorityFile,
  ...(folder === undefined ? {} : { lastGoodFolder: folder }),
  target: {
    deliver: (change) => dataplane.deliver(change),
    shard: (tenant) => dataplane.shards.get(tenant),
    whole: () => dataplane.whole(),
    sources: {
      ready: () => true,
      metrics: async function* () {},
      status: () => Promise.reject(new Error('not asked here')),
      snapshot: () => ({ ...snapshotOf([]), sequence: 0 }),
      explain: () => Promise.reject(new Error('not asked here')),
    },
  },
  warn: (message) => process.stderr.write(`${uid}: ${message}\n`),
})
const delay = monitorEventLoopDelay({ resolution: 5 })
delay.enable()
process.on('message', (message) => {
  if (message === 'reset') delay.reset()
  else if (message === 'report') process.send?.({ stall: delay.max / 1e6, rss: process.memoryUsage().rss / 1e6 })
})
process.on('disconnect', () => process.exit())

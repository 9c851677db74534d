// Leaders in processes of their own, killed by -9 in the middle of their pushes or stopped and woken after another has
// taken over; three pods watch. Every set that is ever active is whole and was published, and time never goes back.
// usage: node test/long/publish-kill.ts [--points 200] [--seed 1]; exit 1 where the rule is broken
import { type ChildProcess, fork } from 'node:child_process'
import { parseArgs } from 'node:util'
import { numberedSet, PublishWorld, RELEASE, rootOf, type TestPod, until } from '../support/publish-world.ts'
import type { PublisherOrder } from '../support/publisher-process.ts'

const { values } = parseArgs({
  options: { points: { type: 'string', default: '200' }, seed: { type: 'string', default: '1' } },
})
const points = Number(values.points)
const random = generator(Number(values.seed))

const world = await PublishWorld.start()
const standby = await world.controller({ leads: false, fence: 0 })
await standby.publisher.publish(numberedSet(0), 1)
const pods = await Promise.all([1, 2, 3].map(() => world.pod([standby])))
await until(() => pods.every(({ dataplane }) => dataplane.history.length === 1))
const peers = pods.map(({ uid, receiver }) => ({ uid, name: uid, address: '127.0.0.1', port: receiver.port }))
/** What each pod had, in order. */
const seen = pods.map((): { fence: number; sequence: number; root: string }[] => [])
for (const [index, { receiver, dataplane }] of pods.entries()) {
  const { deliver } = dataplane
  dataplane.deliver = async (change) => {
    const before = receiver.staging.active
    seen[index]?.push(before)
    return await deliver.call(dataplane, change)
  }
}

let fence = 0
let mark = 1
const running: ChildProcess[] = []
const stopped: ChildProcess[] = []
let woken = 0

async function lead(): Promise<ChildProcess> {
  const name = { release: RELEASE, role: 'controller', uid: `leader-${++fence}` } as const
  const { credentials } = await world.authority.issue(name, '127.0.0.1')
  const child = fork(new URL('../support/publisher-process.ts', import.meta.url).pathname)
  running.push(child)
  const begins = new Promise((resolve) => child.once('message', resolve))
  const { certificate, key, authorities } = credentials
  child.send({ certificate, key: key.reveal(), authorities, fence, peers, from: mark } satisfies PublisherOrder)
  await begins
  return child
}

try {
  for (let point = 0; point < points; point++) {
    const child = await lead()
    // Somewhere between the first handshake and the third set or so.
    await new Promise((resolve) => setTimeout(resolve, random() * 120))
    if (point % 5 === 4) {
      child.kill('SIGSTOP')
      stopped.push(child)
    } else {
      child.kill('SIGKILL')
    }
    mark = Math.max(mark, ...pods.map(({ receiver }) => receiver.staging.active.sequence)) + 1
    if (stopped.length > 0 && point % 5 === 1) {
      for (const old of stopped.splice(0)) {
        old.kill('SIGCONT')
        woken++
        setTimeout(() => old.kill('SIGKILL'), 400)
      }
    }
    if (point % 20 === 19) console.log(`${point + 1} of ${points}: at set ${mark}, fence ${fence}`)
  }
  const last = await lead()
  const target = mark
  await until(() =>
    pods.every(({ receiver }) => receiver.staging.active.fence === fence && receiver.staging.active.sequence >= target),
  )
  last.kill('SIGKILL')
  const broken = pods.flatMap((pod, index) => judge(pod, seen[index] ?? []))
  const changes = pods.map(({ dataplane }) => dataplane.history.length)
  console.log(
    `${points} leaders ended, ${woken} of them woken after another took over; sets active in pods: ${changes.join(', ')}`,
  )
  for (const text of broken) console.log(text)
  console.log(broken.length === 0 ? 'no half set, no step back' : `${broken.length} times broken`)
  process.exitCode = broken.length === 0 ? 0 : 1
} finally {
  for (const child of running) child.kill('SIGKILL')
  await world.stop()
}

function judge({ dataplane, receiver }: TestPod, before: readonly { fence: number; sequence: number }[]): string[] {
  const problems: string[] = []
  const roots = new Set(Array.from({ length: mark + 2_000 }, (_, index) => rootOf(numberedSet(index))))
  for (const root of dataplane.history) if (!roots.has(root)) problems.push('a set that nobody published')
  const order = [...before, receiver.staging.active]
  for (const [index, now] of order.entries()) {
    const former = order[index - 1]
    if (former === undefined) continue
    if (now.fence < former.fence || (now.fence === former.fence && now.sequence < former.sequence)) {
      problems.push(`back from ${former.fence}/${former.sequence} to ${now.fence}/${now.sequence}`)
    }
  }
  return problems
}

/** Mulberry32: the same numbers for the same seed. */
function generator(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let value = Math.imul(state ^ (state >>> 15), 1 | state)
    value = (value + Math.imul(value ^ (value >>> 7), 61 | value)) ^ value
    return ((value ^ (value >>> 14)) >>> 0) / 4_294_967_296
  }
}

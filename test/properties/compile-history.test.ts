// The laws of compile over random histories: input order never matters, the previous result only saves time, no edit
// touches another tenant except as crossEffects says, nobody serves what is not theirs. test/long/compile-edits.ts runs the
// same with 100,000 edits.
import { expect, test } from 'vitest'
import { compile } from '../../controller/compile/compile.ts'
import type { Kind, Partition } from '../../model/resources.ts'
import { runHistory, SETTINGS } from '../support/random-history.ts'
import { Choice } from '../support/random.ts'
import { allSlots, drawGarbage, type Slot } from '../support/random-objects.ts'

const EDITS = 25

/** Another part of the space in every run; a failure prints the seed, and RANDOM_SEED=n repeats it. */
const FIRST_SEED = Number(process.env['RANDOM_SEED'] ?? Math.floor(Date.now() / 1000) % 1_000_000)

test.each([1, 2, FIRST_SEED, FIRST_SEED + 1])('100 random edits, a part with seed %i', (seed) => {
  const tally = runHistory({ seed, edits: EDITS, compareEvery: 1 })
  expect(tally.edits).toBeGreaterThan(0)
})

test('a world of nothing but garbage compiles to issues', () => {
  for (let seed = 1; seed <= 20; seed += 1) {
    const choice = new Choice(seed)
    const result = compile(garbageWorld(choice), SETTINGS)
    expect(result.snapshot.format).toBe(1)
    for (const issue of result.issues) expect(issue.message.length).toBeLessThanOrEqual(1024)
  }
})

function garbageWorld(choice: Choice) {
  const partitions = new Map<string, Partition & { objects: Map<Kind, Map<string, never>> }>()
  for (const slot of allSlots()) {
    const partition = partitions.get(slot.namespace) ?? { namespace: slot.namespace, objects: new Map() }
    partitions.set(slot.namespace, partition)
    const named = partition.objects.get(slot.kind) ?? new Map()
    partition.objects.set(slot.kind, named)
    named.set(slot.name, garbageObject(choice, slot) as never)
  }
  return { revision: '1', partitions, claims: [], lastGood: [] }
}

function garbageObject(choice: Choice, { kind, namespace, name }: Slot) {
  const metadata = { name, namespace, generation: 1, labels: {}, annotations: {} }
  return { kind, metadata, body: drawGarbage(choice) }
}

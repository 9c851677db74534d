// 100,000 random edits of small worlds, each checked against the laws of compile: with and without the previous result,
// in another order, no tenant touched but as crossEffects says. usage: node test/long/compile-edits.ts [--edits 100000]
// [--seed N] [--compare-every 1]; exit 1 at the first law that does not hold, with seed and step.
import { parseArgs } from 'node:util'
import { runHistory } from '../support/random-history.ts'

const EDITS_PER_HISTORY = 200

const { values } = parseArgs({
  options: {
    edits: { type: 'string', default: '100000' },
    seed: { type: 'string', default: '1' },
    'compare-every': { type: 'string', default: '1' },
  },
})
const wanted = Number(values.edits)
const first = Number(values.seed)
let edits = 0
let shardChanges = 0
let crossChanges = 0
let seed = first
const reasons = new Set<string>()
const start = performance.now()
while (edits < wanted) {
  const tally = runHistory({ seed, edits: EDITS_PER_HISTORY, compareEvery: Number(values['compare-every']) })
  edits += tally.edits
  shardChanges += tally.shardChanges
  crossChanges += tally.crossChanges
  for (const reason of tally.issues) reasons.add(reason)
  if ((seed - first) % 50 === 49) console.log(`${edits} edits, seeds ${first} to ${seed}`)
  seed += 1
}
const seconds = Math.round((performance.now() - start) / 1000)
console.log(
  `${edits} edits in ${seconds} s, seeds ${first} to ${seed - 1}: ${shardChanges} shards changed, ${crossChanges} of another tenant and every one announced; reasons seen: ${[...reasons].sort().join(', ')}`,
)

// 10,000 random requests against random route sets: what explain says and what the exchange did must be the same.
// usage: node test/long/explain-agrees.ts [--worlds 500] [--seed 1000]; exit 1 at the first difference
import { parseArgs } from 'node:util'
import { compareInWorld, type Tally } from '../support/explain-agreement.ts'

const { values } = parseArgs({
  options: { worlds: { type: 'string', default: '500' }, seed: { type: 'string', default: '1000' } },
})
const worlds = Number(values.worlds)
const first = Number(values.seed)
const tally: Tally = new Map()
for (let seed = first; seed < first + worlds; seed += 1) await compareInWorld(seed, 20, tally)
for (const [ending, count] of [...tally].sort()) console.log(`${String(count).padStart(6)}  ${ending}`)
console.log(`${worlds * 20} requests, 0 differences`)

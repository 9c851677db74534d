// The big differential run of the answer parser: reference, whole, random cuts, every single cut for every hundredth.
// usage: node test/long/response-parser.ts [--runs 1000000] [--seed N]; exit 1 at the first difference, with its text
import { isDeepStrictEqual, parseArgs } from 'node:util'
import fc from 'fast-check'
import { answers, readWithCuts } from '../support/answers.ts'
import { readReference } from '../support/reference-response.ts'

const { values } = parseArgs({ options: { runs: { type: 'string', default: '1000000' }, seed: { type: 'string' } } })
const runs = Number(values.runs)
const seed = values.seed === undefined ? Date.now() | 0 : Number(values.seed)
const outcomes = new Map<string, number>()
let cutsTried = 0

function compare(text: string, headRequest: boolean, cuts: readonly number[], wanted: unknown): void {
  const got = readWithCuts(text, headRequest, cuts)
  if (isDeepStrictEqual(got, wanted)) return
  console.error(JSON.stringify({ seed, text, headRequest, cuts, got, wanted }, null, 2))
  process.exit(1)
}

const started = performance.now()
const each = 10_000
for (let done = 0; done < runs; done += each) {
  const samples = fc.sample(fc.tuple(answers, fc.boolean(), fc.array(fc.nat(), { minLength: 1, maxLength: 3 })), {
    numRuns: Math.min(each, runs - done),
    seed: (seed + done) | 0,
  })
  for (const [index, [text, headRequest, places]] of samples.entries()) {
    const wanted = readReference(text, headRequest)
    outcomes.set(wanted.outcome, (outcomes.get(wanted.outcome) ?? 0) + 1)
    compare(text, headRequest, [], wanted)
    const cuts = places.map((place) => place % (text.length + 1)).sort((a, b) => a - b)
    compare(text, headRequest, cuts, wanted)
    cutsTried += 1
    if (index % 100 !== 0) continue
    for (let cut = 0; cut <= text.length; cut += 1) compare(text, headRequest, [cut], wanted)
    cutsTried += text.length + 1
  }
}
const seconds = (performance.now() - started) / 1000
const shares = [...outcomes].map(([outcome, count]) => `${outcome} ${count}`).join(', ')
console.log(`${runs} answers (${shares}), ${cutsTried} cut runs, 0 differences, ${seconds.toFixed(0)} s, seed ${seed}`)

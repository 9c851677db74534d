// Wrong input through source, compile and conditions: no crash, a reason and a place for each complaint, no neighbour
// touched. A part of the cases; test/long/misfeed.ts feeds all of them.
import { globSync, readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { makeCa, makeLeaf } from './support/certificates.ts'
import { Feeder } from './support/misfeed.ts'
import { damage, fieldCases, goodWorld, type Json, randomFrom, worldText } from './support/misfeed-cases.ts'

describe('a mis-fed system', () => {
  let feeder: Feeder
  let world: readonly Json[]
  beforeAll(async () => {
    const ca = await makeCa()
    const leaf = await makeLeaf(ca, { names: ['shop.acme.test'], notAfter: new Date(Date.now() + 400 * 86_400_000) })
    world = goodWorld({ crt: leaf.certPem, key: leaf.keyPem, ca: ca.pem })
    feeder = new Feeder()
  })
  afterAll(() => feeder.end())

  test('the world that the cases start from is all good', async () => {
    const { complaints, issues } = await feeder.feed(worldText(world))
    expect(issues.filter((issue) => issue.severity !== 'warns')).toEqual([])
    expect(complaints).toBe(0)
  })

  test('every field missing, of a wrong type, oversized or unknown', async () => {
    await feeder.setBase(worldText(world))
    let index = 0
    for (const each of fieldCases(world)) {
      // The cases that must be told are all fed; of the others every 40th.
      if (!each.mustComplain && index++ % 40 !== 0) continue
      const fed = await feeder.feed(worldText(each.world)).catch((error: unknown) => {
        throw new Error(`${each.what}: ${error instanceof Error ? error.message : String(error)}`, { cause: error })
      })
      if (each.mustComplain) expect(fed.complaints, each.what).toBeGreaterThan(0)
    }
  }, 120_000)

  test('random damage of the examples', async () => {
    const files = globSync('{examples,test/golden}/**/*.yaml', { cwd: `${import.meta.dirname}/..` }).sort()
    expect(files.length).toBeGreaterThan(0)
    for (let seed = 0; seed < 150; seed++) {
      const random = randomFrom(seed)
      const file = files[random(files.length)] ?? ''
      const text = damage(readFileSync(`${import.meta.dirname}/../${file}`, 'utf8'), random)
      await feeder.feed(text).catch((error: unknown) => {
        throw new Error(`${file}, seed ${seed}: ${error instanceof Error ? error.message : String(error)}`, {
          cause: error,
        })
      })
    }
  }, 120_000)
})

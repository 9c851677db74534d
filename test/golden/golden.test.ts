// Every golden case: in.yaml compiles to snapshot.yaml and status.yaml, and requests.yaml holds in the Program built from
// it. `npm run golden` rewrites the two outputs; requests are written by hand.
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { goldenFile, goldenFolders, runGolden } from '../support/golden.ts'
import { replay } from '../support/golden-replay.ts'

const folders = goldenFolders()
const isRewriting = process.env['GOLDEN'] === 'rewrite'

test('there are cases', () => {
  expect(folders.length).toBeGreaterThan(20)
})

describe.each(folders)('%s', (folder) => {
  const outcome = runGolden(folder)

  test.each(['snapshot.yaml', 'status.yaml'] as const)('compiles to its %s', (file) => {
    const path = goldenFile(folder, file)
    const text = file === 'snapshot.yaml' ? outcome.snapshot : outcome.status
    if (isRewriting) writeFileSync(path, text)
    expect(text).toBe(existsSync(path) ? readFileSync(path, 'utf8') : '')
  })

  test.runIf(existsSync(goldenFile(folder, 'requests.yaml')))('answers its requests', async () => {
    expect(await replay(goldenFile(folder, 'requests.yaml'), outcome.result)).toEqual([])
  })
})

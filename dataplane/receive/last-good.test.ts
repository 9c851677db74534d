import { appendFile, mkdtemp, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { SnapshotContent } from '../../controller/publish/content.ts'
import { poolLine, shardLine } from '../../model/push-shard.ts'
import type { Snapshot } from '../../model/snapshot.ts'
import {
  FakeDataplane,
  RELEASE,
  rootOf,
  sealedPool,
  sealedShard,
  sha256,
  snapshotOf,
} from '../../test/support/publish-world.ts'
import { makeRoute } from '../../test/support/shard.ts'
import { LastGood } from './last-good.ts'
import { Staging } from './staging.ts'

let folder = ''
const file = () => join(folder, 'last-good.ndjson')

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'atrium-last-good-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

function open(
  dataplane = new FakeDataplane(),
  rest: { folder?: string; release?: string; formats?: readonly number[] } = {},
) {
  const warnings: string[] = []
  const lastGood = new LastGood({
    folder,
    release: RELEASE,
    formats: [1],
    digest: sha256,
    whole: () => dataplane.whole(),
    warn: (message) => warnings.push(message),
    ...rest,
  })
  const staging = new Staging({
    release: RELEASE,
    target: dataplane,
    digest: sha256,
    activated: (set) => lastGood.keep(set),
  })
  return { dataplane, lastGood, staging, warnings }
}

async function push(staging: Staging, snapshot: Snapshot, sequence: number): Promise<void> {
  const content = new SnapshotContent(sha256)
  content.take(snapshot)
  const manifest = content.manifest(RELEASE, { fence: 3, sequence }, content.difference(null))
  const { lacksPools, lacksShards } = await staging.propose(manifest)
  const lines = [
    ...lacksPools.flatMap((key) => snapshot.pools.get(key) ?? []).map(poolLine),
    ...lacksShards.flatMap((tenant) => snapshot.shards.get(tenant) ?? []).map(shardLine),
  ]
  for (const text of lines) staging.accept(manifest, { text, value: JSON.parse(text) as unknown })
  await staging.activate(manifest, manifest.root)
}

/** Root of what is read back; undefined for nothing. */
async function kept(rest: { release?: string; formats?: readonly number[] } = {}): Promise<string | undefined> {
  const set = await open(new FakeDataplane(), rest).lastGood.load()
  if (set === undefined) return undefined
  return rootOf(
    snapshotOf(
      set.received.flatMap((line) => (line.type === 'shard' ? [line.shard] : [])),
      set.received.flatMap((line) => (line.type === 'pool' ? [line.pool] : [])),
    ),
  )
}

const set = (mark: number) =>
  snapshotOf(
    ['acme', 'blog', 'shop'].slice(mark % 2).map((tenant) => sealedShard(tenant, `v${mark}`)),
    mark % 3 === 0 ? [] : [sealedPool('shop', 'web', [`10.0.0.${mark}`])],
  )

describe('the last good set', () => {
  test('is nothing at first, and then what became active last', async () => {
    expect(await kept()).toBeUndefined()
    const { lastGood, staging, warnings } = open()
    for (let mark = 1; mark <= 8; mark++) await push(staging, set(mark), mark)
    await lastGood.close()
    expect(await kept()).toBe(rootOf(set(8)))
    expect(await open().lastGood.load()).toMatchObject({ position: { fence: 3, sequence: 8 }, version: set(8).version })
    expect(warnings).toEqual([])
  })

  test('is for its owner only, and grows by what changed', async () => {
    const { lastGood, staging } = open()
    await push(staging, set(1), 1)
    await lastGood.close()
    const before = await stat(file())
    expect(before.mode & 0o777).toBe(0o600)
    expect((await readdir(folder)).join()).toBe('last-good.ndjson')
  })

  test('cut off at any byte is a set that was active, or nothing', async () => {
    const { lastGood, staging } = open()
    const roots = [undefined]
    const ends: number[] = [0]
    const all: (string | undefined)[] = roots
    for (let mark = 1; mark <= 5; mark++) {
      await push(staging, set(mark), mark)
      await new Promise((resolve) => setTimeout(resolve, 20))
      all.push(rootOf(set(mark)))
      ends.push((await stat(file())).size)
    }
    await lastGood.close()
    const bytes = await readFile(file())
    for (let length = 0; length <= bytes.length; length += 37) {
      await writeFile(file(), bytes.subarray(0, length))
      const whole = ends.filter((end) => end <= length).length - 1
      expect(await kept(), `cut at ${length}`).toBe(all[whole])
    }
  })

  test('with a byte turned over is refused from there on', async () => {
    const { lastGood, staging } = open()
    for (let mark = 1; mark <= 3; mark++) await push(staging, set(mark), mark)
    await lastGood.close()
    const bytes = await readFile(file())
    const possible = [undefined, ...[1, 2, 3].map((mark) => rootOf(set(mark)))]
    for (let at = 0; at < bytes.length; at += 53) {
      const bent = Buffer.from(bytes)
      bent[at] = (bent[at] ?? 0) ^ 4
      await writeFile(file(), bent)
      expect(possible, `bent at ${at}`).toContain(await kept())
    }
  })

  test('goes on after what a crash left', async () => {
    const first = open()
    await push(first.staging, set(1), 1)
    await first.lastGood.close()
    await appendFile(file(), shardLine(sealedShard('acme', 'torn')).slice(0, 100))
    const second = open()
    await second.lastGood.load()
    await push(second.staging, set(2), 2)
    await push(second.staging, set(3), 3)
    await second.lastGood.close()
    expect(await kept()).toBe(rootOf(set(3)))
  })

  test('of another release, or of a format that is not read, does not count', async () => {
    const { lastGood, staging } = open()
    await push(staging, set(1), 1)
    await lastGood.close()
    expect(await kept({ release: 'other' })).toBeUndefined()
    expect(await kept({ formats: [2] })).toBeUndefined()
  })

  test('that cannot be written is said so, and written whole when it can', async () => {
    const { writeFile: write } = await import('node:fs/promises')
    const blocked = join(folder, 'blocked')
    await write(blocked, 'a file where a folder should be')
    const { lastGood, staging, warnings } = open(new FakeDataplane(), { folder: blocked })
    await push(staging, set(1), 1)
    await lastGood.close()
    expect(warnings).toEqual([expect.stringContaining('cannot be kept')])
    await rm(blocked)
    await push(staging, set(2), 2)
    await lastGood.close()
    folder = blocked
    expect(await kept()).toBe(rootOf(set(2)))
  })

  test('is written anew when it has grown, and stays what it is', async () => {
    const { lastGood, staging } = open()
    const wide = 'x'.repeat(50_000)
    const wideShard = (mark: number) =>
      sealedShard('acme', 'a', {
        routes: [
          makeRoute('acme', 'a', {
            requestHeaders: { set: [{ name: 'x', value: `${wide}${mark}` }], add: [], remove: [] },
          }),
        ],
      })
    const wideSet = (mark: number) => snapshotOf([wideShard(mark), sealedShard('blog', 'a')])
    for (let mark = 1; mark <= 90; mark++) await push(staging, wideSet(mark), mark)
    await lastGood.close()
    expect((await stat(file())).size).toBeLessThan(4.5 * 1024 * 1024)
    expect(await kept()).toBe(rootOf(wideSet(90)))
  })

  test('leaves out what a tenant was refused: it keeps what serves', async () => {
    const { dataplane, lastGood, staging } = open()
    await push(staging, set(2), 1)
    dataplane.refuses = new Map([['acme', 'it does not build']])
    await push(staging, set(4), 2)
    await lastGood.close()
    const back = await open().lastGood.load()
    const shards = new Map(back?.received.flatMap((line) => (line.type === 'shard' ? [[line.tenant, line.hash]] : [])))
    expect(shards.get('acme')).toBe(sealedShard('acme', 'v2').hash)
    expect(shards.get('blog')).toBe(sealedShard('blog', 'v4').hash)
    await truncate(file(), 0)
  })
})

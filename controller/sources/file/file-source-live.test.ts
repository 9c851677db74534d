// The file source while files change under it: editors, half-written files, folders that move, mistakes that come and go.
import { execFileSync } from 'node:child_process'
import { appendFile, mkdir, open, rename, rm, symlink, unlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { find, routeRef, sleep } from '../../../test/contracts/source.ts'
import { hostIn, SourceFolder, yamlRoute } from '../../../test/support/source-folder.ts'
import type { SourceState } from '../source.ts'
import type { FileSourceOptions } from './file-source.ts'

describe('files that change', () => {
  let folder: SourceFolder
  beforeEach(async () => {
    folder = await SourceFolder.make()
  })
  afterEach(() => folder.end())
  const file = (...parts: string[]) => folder.file(...parts)
  const start = (options?: Partial<FileSourceOptions>) => folder.start(options)
  const problems = (state: SourceState) => folder.problems(state)

  test('a write in place, a rename into place, and a file made anew', async () => {
    await writeFile(file('r.yaml'), yamlRoute('one', 'first.test'))
    const watching = await start({ rescanEvery: 60_000 })
    await writeFile(file('r.yaml'), yamlRoute('one', 'second.test'))
    await watching.until((state) => hostIn(state, 'one') === 'second.test')
    await writeFile(file('.tmp'), yamlRoute('one', 'third.test'))
    await rename(file('.tmp'), file('r.yaml'))
    await watching.until((state) => hostIn(state, 'one') === 'third.test')
    await writeFile(file('new.yaml'), yamlRoute('two', 'new.test'))
    await watching.until((state) => hostIn(state, 'two') === 'new.test')
  })

  test('an editor that moves the old file away and writes a new one never takes the object away', async () => {
    await writeFile(file('r.yaml'), yamlRoute('one', 'first.test'))
    const watching = await start({ rescanEvery: 60_000 })
    let vanished = false
    const watcher = setInterval(() => {
      vanished ||= find(watching.source.read(), routeRef('a', 'one')) === undefined
    }, 1)
    for (let round = 0; round < 5; round++) {
      await rename(file('r.yaml'), file('r.yaml~'))
      await sleep(3)
      await writeFile(file('r.yaml'), yamlRoute('one', `round${round}.test`))
      await unlink(file('r.yaml~'))
      await watching.until((state) => hostIn(state, 'one') === `round${round}.test`)
    }
    clearInterval(watcher)
    expect(vanished).toBe(false)
  })

  test('a file that is written slowly is believed only when it rests', async () => {
    const before = `${yamlRoute('one', 'one.test')}---\n${yamlRoute('two', 'two.test')}`
    const after = `${yamlRoute('one', 'new.test')}---\n${yamlRoute('two', 'new.test')}`
    await writeFile(file('r.yaml'), before)
    const watching = await start({ rescanEvery: 60_000 })
    const seen = new Set<string>()
    const handle = await open(file('r.yaml'), 'w')
    for (let at = 0; at < after.length; at += 16) {
      await handle.write(after.slice(at, at + 16))
      await sleep(2)
      const state = watching.source.read()
      seen.add(`${hostIn(state, 'one')} ${hostIn(state, 'two')} ${state.problems.length}`)
    }
    await handle.close()
    await watching.until((state) => hostIn(state, 'two') === 'new.test')
    for (const state of seen) expect(['one.test two.test 0', 'new.test new.test 0']).toContain(state)
  })

  test('a broken edit keeps the last good objects, says where, and is forgotten when mended', async () => {
    await writeFile(file('r.yaml'), `${yamlRoute('one', 'one.test')}---\n${yamlRoute('two', 'two.test')}`)
    const watching = await start()
    const before = watching.source.read()
    await writeFile(file('r.yaml'), `${yamlRoute('one', 'one.test')}  oops: "\n---\n${yamlRoute('two', 'two.test')}`)
    const broken = await watching.until((state) => state.problems.length > 0)
    expect(problems(broken)[0]).toMatch(/^\/r\.yaml:\d+:\d+ a closing double quotation mark is missing/)
    expect(broken.resources).toBe(before.resources)
    await writeFile(file('r.yaml'), `${yamlRoute('one', 'mended.test')}---\n${yamlRoute('two', 'two.test')}`)
    const mended = await watching.until((state) => state.problems.length === 0)
    expect(hostIn(mended, 'one')).toBe('mended.test')
    expect(find(mended, routeRef('a', 'two'))).toBe(find(before, routeRef('a', 'two')))
  })

  test('a bad object keeps its own last form while its neighbours in the file move on', async () => {
    await writeFile(file('r.yaml'), `${yamlRoute('one', 'one.test')}---\n${yamlRoute('two', 'two.test')}`)
    const watching = await start()
    const bad = yamlRoute('one', 'new.test').replace('name: one }', 'name: one, labels: { x: 1 } }')
    await writeFile(file('r.yaml'), `${bad}---\n${yamlRoute('two', 'new.test')}`)
    const state = await watching.until((now) => hostIn(now, 'two') === 'new.test')
    expect(hostIn(state, 'one')).toBe('one.test')
    expect(state.problems[0]?.issue).toMatchObject({
      object: routeRef('a', 'one'),
      reason: 'Invalid',
      severity: 'rejects',
      generation: 2,
      path: ['metadata', 'labels', 'x'],
    })
  })

  test('an object taken out of a file that stays is gone', async () => {
    await writeFile(file('r.yaml'), `${yamlRoute('one', 'one.test')}---\n${yamlRoute('two', 'two.test')}`)
    const watching = await start()
    await writeFile(file('r.yaml'), yamlRoute('one', 'one.test'))
    await watching.until((state) => find(state, routeRef('a', 'two')) === undefined)
    await writeFile(file('r.yaml'), '')
    await watching.until((state) => state.resources.partitions.size === 0)
  })

  test('folders made, renamed and removed', async () => {
    const watching = await start({ rescanEvery: 60_000 })
    await mkdir(file('x', 'y'), { recursive: true })
    await writeFile(file('x', 'y', 'r.yaml'), yamlRoute('one', 'one.test'))
    const first = await watching.until((state) => hostIn(state, 'one') === 'one.test')
    await rename(file('x'), file('z'))
    await sleep(60)
    const renamed = watching.source.read()
    expect(find(renamed, routeRef('a', 'one'))).toBe(find(first, routeRef('a', 'one')))
    expect(renamed.resources.revision).toBe(first.resources.revision)
    expect(watching.source.locate(routeRef('a', 'one'), [])?.file).toBe(file('z', 'y', 'r.yaml'))
    await writeFile(file('z', 'y', 'r.yaml'), yamlRoute('one', 'two.test'))
    await watching.until((state) => hostIn(state, 'one') === 'two.test')
    await rm(file('z'), { recursive: true })
    await watching.until((state) => find(state, routeRef('a', 'one')) === undefined)
    await mkdir(file('z', 'y'), { recursive: true })
    await writeFile(file('z', 'y', 'r.yaml'), yamlRoute('one', 'three.test'))
    await watching.until((state) => hostIn(state, 'one') === 'three.test')
  })

  test('the whole folder replaced by another: the new one is read; gone: the old one goes on', async () => {
    await mkdir(file('config'))
    await writeFile(file('config', 'r.yaml'), yamlRoute('one', 'old.test'))
    const watching = await start({ folders: [file('config')] })
    await mkdir(file('next'))
    await writeFile(file('next', 'r.yaml'), yamlRoute('one', 'new.test'))
    await rename(file('config'), file('old'))
    const gone = await watching.until((state) => state.problems.length === 1)
    expect(problems(gone)).toEqual(['/config:1:1 the folder cannot be read (ENOENT)'])
    expect(hostIn(gone, 'one')).toBe('old.test')
    await rename(file('next'), file('config'))
    const replaced = await watching.until((state) => hostIn(state, 'one') === 'new.test')
    expect(replaced.problems).toEqual([])
    await writeFile(file('config', 'r.yaml'), yamlRoute('one', 'newer.test'))
    await watching.until((state) => hostIn(state, 'one') === 'newer.test')
  })

  test('a folder renamed away and another made in its place, deeper ones too', async () => {
    await mkdir(file('x', 'y'), { recursive: true })
    await writeFile(file('x', 'y', 'r.yaml'), yamlRoute('one', 'one.test'))
    const watching = await start({ rescanEvery: 60_000 })
    await rename(file('x'), file('.x'))
    await mkdir(file('x', 'y'), { recursive: true })
    await writeFile(file('x', 'y', 'r.yaml'), yamlRoute('one', 'two.test'))
    await watching.until((state) => hostIn(state, 'one') === 'two.test')
    await writeFile(file('x', 'y', 'r.yaml'), yamlRoute('one', 'three.test'))
    await watching.until((state) => hostIn(state, 'one') === 'three.test')
    await writeFile(file('.x', 'y', 'r.yaml'), yamlRoute('one', 'hidden.test'))
    await sleep(40)
    expect(hostIn(watching.source.read(), 'one')).toBe('three.test')
  })

  test('a link to the folder that is turned to another', async () => {
    for (const name of ['v1', 'v2']) {
      await mkdir(file(name))
      await writeFile(file(name, 'r.yaml'), yamlRoute('one', `${name}.test`))
    }
    await symlink('v1', file('current'))
    const watching = await start({ folders: [file('current')], rescanEvery: 60_000 })
    expect(hostIn(watching.source.read(), 'one')).toBe('v1.test')
    await symlink('v2', file('next'))
    await rename(file('next'), file('current'))
    await watching.until((state) => hostIn(state, 'one') === 'v2.test')
    await writeFile(file('v2', 'r.yaml'), yamlRoute('one', 'edited.test'))
    const state = await watching.until((now) => hostIn(now, 'one') === 'edited.test')
    expect(problems(state)).toEqual([])
  })

  test('the safety net finds what no event told', async () => {
    await writeFile(file('r.yaml'), yamlRoute('one', 'one.test'))
    const watching = await start({ rescanEvery: 20 })
    const outside = `${folder.path}-moved`
    // An edit through another name of the same folder on a mount gives no event; a hard link comes close.
    await mkdir(outside)
    execFileSync('ln', [file('r.yaml'), join(outside, 'same.yaml')])
    await appendFile(join(outside, 'same.yaml'), `---\n${yamlRoute('two', 'two.test')}`)
    await watching.until((state) => hostIn(state, 'two') === 'two.test')
    await rm(outside, { recursive: true })
  })

  test('a file that never rests is believed in the end', async () => {
    await writeFile(file('r.yaml'), `${yamlRoute('one', 'one.test')}---\n${yamlRoute('two', 'two.test')}`)
    const watching = await start()
    let serial = 0
    const writer = setInterval(() => void writeFile(file('r.yaml'), yamlRoute('one', `n${serial++}.test`)), 8)
    try {
      await watching.until((state) => find(state, routeRef('a', 'two')) === undefined)
    } finally {
      clearInterval(writer)
      await sleep(20)
    }
  })

  test('a problem of a file goes with the file', async () => {
    await writeFile(file('bad.yaml'), 'a: [')
    const watching = await start()
    expect(watching.source.read().problems).toHaveLength(1)
    await unlink(file('bad.yaml'))
    await watching.until((state) => state.problems.length === 0)
  })
})

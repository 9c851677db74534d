// The file source on a real folder with real events: the suite of all sources, then what only files can do to it.
import { execFileSync } from 'node:child_process'
import { createServer } from 'node:net'
import { mkdir, mkdtemp, open, rename, rm, symlink, unlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import {
  describeSource,
  find,
  type InputObject,
  routeInput,
  routeRef,
  type SourceDriver,
} from '../../../test/contracts/source.ts'
import { hostIn, SourceFolder, yamlRoute } from '../../../test/support/source-folder.ts'
import type { ObjectRef } from '../../../model/resources.ts'
import type { SourceState } from '../source.ts'
import { createFileSource, type FileSourceOptions } from './file-source.ts'

/** One object in one file, replaced by a rename as editors do it. */
async function fileDriver(): Promise<SourceDriver> {
  const folder = await mkdtemp(join(tmpdir(), 'atrium-source-'))
  const fileOf = (ref: { kind: string; namespace?: string; name: string }) =>
    join(
      folder,
      ref.namespace === undefined || ref.namespace === '' ? 'cluster' : ref.namespace,
      `${ref.kind}-${ref.name}.yaml`,
    )
  let serial = 0
  return {
    create: () => createFileSource({ folders: [folder] }),
    async write(object: InputObject) {
      const file = fileOf({ kind: object.kind, ...object.metadata })
      await mkdir(dirname(file), { recursive: true })
      const temporary = join(folder, `.${serial++}`)
      await writeFile(temporary, `${JSON.stringify(object, undefined, 2)}\n`)
      await rename(temporary, file)
    },
    remove: (ref: ObjectRef) => unlink(fileOf(ref)),
    writeRaw: (name, text) => writeFile(join(folder, `${name}.yaml`), text),
    cleanUp: () => rm(folder, { recursive: true, force: true }),
  }
}

describeSource('a folder of files', fileDriver)

describe('files', () => {
  let folder: SourceFolder
  beforeEach(async () => {
    folder = await SourceFolder.make()
  })
  afterEach(() => folder.end())
  const file = (...parts: string[]) => folder.file(...parts)
  const start = (options?: Partial<FileSourceOptions>) => folder.start(options)
  const problems = (state: SourceState) => folder.problems(state)

  describe('reading', () => {
    test('many documents, lists and JSON in one folder, deep inside', async () => {
      await mkdir(file('x', 'y'), { recursive: true })
      await writeFile(
        file('many.yaml'),
        `# first\n---\n${yamlRoute('one', 'one.test')}---\n---\n${yamlRoute('two', 'two.test')}...\n`,
      )
      await writeFile(
        file('x', 'list.yml'),
        `apiVersion: v1\nkind: List\nitems:\n- ${yamlRoute('three', 'three.test').trim().replaceAll('\n', '\n  ')}\n`,
      )
      await writeFile(
        file('x', 'y', 'four.json'),
        JSON.stringify(routeInput('a', 'four', 'four.test'), undefined, '\t'),
      )
      await writeFile(file('x', 'notes.txt'), 'not: read')
      await writeFile(file('.hidden.yaml'), 'not: [read')
      const { source } = await start()
      const state = source.read()
      expect(problems(state)).toEqual([])
      expect(['one', 'two', 'three', 'four'].map((name) => hostIn(state, name))).toEqual([
        'one.test',
        'two.test',
        'three.test',
        'four.test',
      ])
      expect(source.locate(routeRef('a', 'three'), ['spec', 'hostnames', 0])).toEqual({
        file: file('x', 'list.yml'),
        line: 8,
        column: 17,
      })
      expect(source.locate(routeRef('a', 'two'), ['spec', 'rules', 0, 'backendRefs', 0, 'port'])).toMatchObject({
        line: 20,
        column: 24,
      })
      expect(source.locate(routeRef('a', 'two'), ['spec', 'rules', 0, 'timeouts', 'idle'])).toMatchObject({
        line: 19,
        column: 7,
      })
      expect(source.locate(routeRef('a', 'two'), [])).toMatchObject({ line: 13, column: 1 })
    })

    test('words and numbers are read as kubectl reads them', async () => {
      const text =
        'apiVersion: v1\nkind: Service\nmetadata: { name: s }\nspec: { a: yes, b: 0755, c: 1:30, d: 2001-01-01, e: "no", f: 1_000, 8080: x, on: z }\n'
      await writeFile(file('s.yaml'), text)
      const { source } = await start()
      expect(find(source.read(), { kind: 'Service', namespace: 'default', name: 's' })?.body).toEqual({
        spec: { a: true, b: 493, c: '1:30', d: '2001-01-01', e: 'no', f: 1000, 8080: 'x', true: 'z' },
      })
    })

    test('the status of our kinds, foreign metadata and annotations of others are dropped; all is frozen', async () => {
      await writeFile(
        file('r.yaml'),
        `apiVersion: atrium.dev/v1alpha1\nkind: Route\nmetadata:\n  name: r\n  namespace: a\n  uid: u1\n  generation: 7\n  resourceVersion: "5"\n  managedFields: [{ x: 1 }]\n  annotations: { atrium.dev/owner: me, kubectl.kubernetes.io/last-applied-configuration: "{}" }\nspec: { hostnames: [] }\nstatus: { conditions: [] }\n`,
      )
      const { source } = await start()
      const object = find(source.read(), routeRef('a', 'r'))
      expect(object).toEqual({
        kind: 'Route',
        metadata: {
          name: 'r',
          namespace: 'a',
          uid: 'u1',
          generation: 7,
          labels: {},
          annotations: { 'atrium.dev/owner': 'me' },
        },
        body: { spec: { hostnames: [] } },
      })
      expect(Object.isFrozen(object)).toBe(true)
      expect(Object.isFrozen(object?.body['spec'])).toBe(true)
    })

    test('kinds that are not read are a note, never a mistake', async () => {
      await writeFile(
        file('d.yaml'),
        'apiVersion: apps/v1\nkind: Deployment\nmetadata: { name: d }\n---\napiVersion: serving.knative.dev/v1\nkind: Service\nmetadata: { name: k }\n',
      )
      const state = (await start()).source.read()
      expect(state.problems).toEqual([])
      expect(state.notes?.map((note) => `${note.position?.line} ${note.message}`)).toEqual([
        '1 Deployment is not read by Atrium',
        '5 Service is not read by Atrium',
      ])
    })

    test.each([
      ['a: [', /^\/bad\.yaml:\d+:\d+ /],
      ['just text', ':1:1 an object begins with apiVersion, kind and metadata; this is text'],
      ['- a\n- b', ':1:1 an object begins with apiVersion, kind and metadata; this is a list'],
      ['kind: Route\nmetadata: {name: x}', ':1:1 apiVersion is missing'],
      ['apiVersion: v1\nkind: 5', ':2:1 kind must be text, not the number 5 (put text in quotes)'],
      ['apiVersion: v1\nkind: Route', ':1:1 a Route has apiVersion atrium.dev/v1alpha1, not "v1"'],
      ['apiVersion: v1\nkind: service', ':2:1 kind "service" is written Service'],
      [
        'apiVersion: atrium.dev/v1alpha1\nkind: Rout',
        ':2:1 atrium.dev has no kind "Rout"; it has Tenant, Route and Policy',
      ],
      ['apiVersion: v1\nkind: Service', ':1:1 metadata is missing'],
      ['apiVersion: v1\nkind: Service\nmetadata: x', ':3:1 metadata must be a map, not text'],
      ['apiVersion: v1\nkind: Service\nmetadata: {}', ':3:1 metadata.name is missing'],
      ['apiVersion: v1\nkind: Service\nmetadata: { generateName: a- }', 'generateName cannot be applied'],
      ['apiVersion: v1\nkind: Service\nmetadata: { name: 5 }', ':3:13 metadata.name must be text, not the number 5'],
      ['apiVersion: v1\nkind: Service\nmetadata: { name: A_b }', ':3:13 metadata.name "A_b" is not allowed'],
      [`apiVersion: v1\nkind: Service\nmetadata: { name: ${'a'.repeat(64)} }`, ':3:13 metadata.name'],
      ['apiVersion: v1\nkind: Service\nmetadata: { name: a, namespace: "" }', ':3:22 metadata.namespace'],
      ['apiVersion: v1\nkind: Service\nmetadata: { name: a, lables: {} }', ':3:22 metadata has no field "lables"'],
      [
        'apiVersion: v1\nkind: Service\nmetadata: { name: a, labels: { x: 1 } }',
        ':3:32 the value of "x" in metadata.labels must be text',
      ],
      [
        'apiVersion: v1\nkind: Secret\nmetadata: { name: a }\ndata: { k: "%%" }',
        ':4:9 the value of "k" in data is no base64',
      ],
      [
        'apiVersion: v1\nkind: Secret\nmetadata: { name: a }\ndata: { k: 12345 }',
        'must be text, not a number (put it in quotes)',
      ],
      ['apiVersion: v1\nkind: ConfigMap\nmetadata: { name: a }\ndata: []', ':4:1 data must be a map, not a list'],
      ['apiVersion: v1\nkind: List\nitems: {}', ':3:1 items must be a list, not a map'],
      ['a: 1\nb: 2\na: 3', ':3:1 the key "a" stands twice'],
      ['? [x]\n: y', ':1:3 a key must be text'],
      ['a: .inf', ':1:4 a number must be finite'],
      ['a: !custom x', ':1:4 this tag is not known here'],
      ['%YAML 1.2\n---\na: 1', ':1:1 only YAML 1.1'],
      ['a: \u0007', ':1:4 the character U+0007 is not allowed in YAML'],
      ['a: *nowhere', /alias/],
      [`a: ${'['.repeat(100)}`, 'nested deeper than 32 levels'],
    ])('%j is a problem with its place, and the rest is used', async (text, wanted) => {
      await writeFile(file('bad.yaml'), text)
      await writeFile(file('good.yaml'), yamlRoute('good', 'good.test'))
      const state = (await start()).source.read()
      expect(hostIn(state, 'good')).toBe('good.test')
      expect(problems(state)).toHaveLength(1)
      if (typeof wanted === 'string') expect(problems(state)[0]).toContain(wanted)
      else expect(problems(state)[0]).toMatch(wanted)
    })

    test('an alias bomb is refused at once, honest aliases and merge keys are read', async () => {
      let bomb = 'a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n'
      for (let level = 1; level < 20; level++)
        bomb += `a${level}: &a${level} [${Array(10)
          .fill(`*a${level - 1}`)
          .join(', ')}]\n`
      await writeFile(file('bomb.yaml'), bomb)
      await writeFile(
        file('fine.yaml'),
        'apiVersion: v1\nkind: Service\nmetadata: { name: s }\nspec:\n  base: &base { x: 1, z: 2 }\n  more: { <<: *base, z: 3 }\n  again: *base\n',
      )
      const state = (await start()).source.read()
      expect(problems(state)).toHaveLength(1)
      expect(problems(state)[0]).toMatch(/^\/bomb\.yaml:\d+:\d+ .*alias/)
      expect(find(state, { kind: 'Service', namespace: 'default', name: 's' })?.body['spec']).toEqual({
        base: { x: 1, z: 2 },
        more: { x: 1, z: 3 },
        again: { x: 1, z: 2 },
      })
    })

    test.each([
      'a: "{marker}\n',
      "a: '{marker}\n",
      'a: "\\{marker}"',
      'a: |{marker}\n  x',
      'a: !{marker} x',
      'a: !<{marker} x',
      'a: *{marker}',
      'a: &{marker}: x',
      'a: @{marker}',
      'a: {marker}: b',
      '{ a: b } {marker}',
      '[a] {marker}: x',
      '"a" "{marker}"',
      '} {marker}',
      '%{marker}\n---\n',
      '%TAG {marker}\n---\n',
      '%TAG ! {marker} {marker}\n---\na: 1',
      'a: 1\n{marker}',
      'a: 1\n {marker}\nb',
      '- {marker}\nb: c',
      '---{marker}: x',
      '... {marker}',
      'a:\n\t{marker}: x',
    ])('a broken text %j is told without a piece of it', async (template) => {
      await writeFile(file('bad.yaml'), template.replaceAll('{marker}', 'hunter2'))
      const { source } = await start()
      expect(problems(source.read())).toHaveLength(1)
      expect(problems(source.read())[0]).not.toContain('hunter2')
    })

    test('the same object twice: the first by path holds, the other is told with both places', async () => {
      await writeFile(file('a.yaml'), yamlRoute('one', 'first.test'))
      await writeFile(file('b.yaml'), `---\n${yamlRoute('one', 'second.test')}`)
      const watching = await start()
      expect(hostIn(watching.source.read(), 'one')).toBe('first.test')
      expect(problems(watching.source.read())).toEqual([
        `/b.yaml:2:1 Route a/one stands at ${file('a.yaml')}:1:1 already; that one is used, this one is not`,
      ])
      await unlink(file('a.yaml'))
      const after = await watching.until((state) => hostIn(state, 'one') === 'second.test')
      expect(problems(after)).toEqual([])
    })
  })

  describe('what is no ordinary file', () => {
    test('links that lead out, FIFOs, sockets, huge and strange files are refused by name', async () => {
      const outside = await mkdtemp(join(tmpdir(), 'atrium-source-'))
      const server = createServer()
      try {
        await writeFile(join(outside, 'secret.yaml'), yamlRoute('secret', 'secret.test'))
        await symlink(join(outside, 'secret.yaml'), file('link.yaml'))
        await symlink(outside, file('linked'))
        await symlink(file('nowhere.yaml'), file('dangling.yaml'))
        await symlink('../../../../../../etc/passwd', file('passwd'))
        execFileSync('mkfifo', [file('fifo.yaml')])
        await new Promise<void>((resolve) => server.listen(file('socket.yaml'), resolve))
        const huge = await open(file('huge.yaml'), 'w')
        await huge.truncate(4 * 1024 * 1024 + 1)
        await huge.close()
        await writeFile(file('latin.yaml'), Buffer.from([0x61, 0x3a, 0x20, 0xe9, 0x0a]))
        await writeFile(file('good.yaml'), yamlRoute('good', 'good.test'))
        const state = (await start()).source.read()
        expect(hostIn(state, 'good')).toBe('good.test')
        expect(hostIn(state, 'secret')).toBeUndefined()
        expect(problems(state)).toEqual([
          '/dangling.yaml:1:1 the file is a link that leads nowhere (ENOENT)',
          '/fifo.yaml:1:1 the file is a FIFO, so it is not read',
          '/huge.yaml:1:1 the file is larger than 4 MiB, so it is not read; split it',
          '/latin.yaml:1:1 the file is not UTF-8 text, so it is not read',
          '/link.yaml:1:1 the file is a link that leads out of the folder, so it is not read',
          '/linked:1:1 the folder is a link that leads out of the folder, so it is not read',
          '/socket.yaml:1:1 the file is a socket, so it is not read',
        ])
      } finally {
        server.close()
        await rm(outside, { recursive: true, force: true })
      }
    })

    test('a mounted ConfigMap: links through ..data, replaced at once', async () => {
      await mkdir(file('..v1'))
      await writeFile(file('..v1', 'r.yaml'), yamlRoute('one', 'v1.test'))
      await symlink('..v1', file('..data'))
      await symlink('..data/r.yaml', file('r.yaml'))
      const watching = await start()
      expect(hostIn(watching.source.read(), 'one')).toBe('v1.test')
      await mkdir(file('..v2'))
      await writeFile(file('..v2', 'r.yaml'), yamlRoute('one', 'v2.test'))
      await symlink('..v2', file('..data_tmp'))
      await rename(file('..data_tmp'), file('..data'))
      await rm(file('..v1'), { recursive: true })
      const state = await watching.until((now) => hostIn(now, 'one') === 'v2.test')
      expect(problems(state)).toEqual([])
    })

    test('links that go round in circles end, and a file by two names counts once', async () => {
      await mkdir(file('x'))
      await writeFile(file('x', 'r.yaml'), yamlRoute('one', 'one.test'))
      await symlink('..', file('x', 'up'))
      await symlink('x', file('y'))
      await symlink('r.yaml', file('x', 'also.yaml'))
      const watching = await start()
      expect(problems(watching.source.read())).toEqual([])
      expect(watching.source.locate(routeRef('a', 'one'), [])?.file).toBe(file('x', 'r.yaml'))
      await writeFile(file('x', 'r.yaml'), yamlRoute('one', 'two.test'))
      await watching.until((state) => hostIn(state, 'one') === 'two.test')
    })

    test('a folder given twice or inside another counts once', async () => {
      await mkdir(file('x'))
      await writeFile(file('x', 'r.yaml'), yamlRoute('one', 'one.test'))
      const state = (await start({ folders: [folder.path, folder.path, file('x')] })).source.read()
      expect(problems(state)).toEqual([])
      expect(hostIn(state, 'one')).toBe('one.test')
    })

    test('too many files: nothing of them is read, and it is said once; fewer again: they are', async () => {
      for (let index = 0; index < 6; index++) await writeFile(file(`${index}.yaml`), yamlRoute(`r${index}`, 'x.test'))
      const watching = await start({ maxFiles: 5, rescanEvery: 30 })
      expect(watching.source.read().resources.partitions.size).toBe(0)
      expect(problems(watching.source.read())).toEqual([
        ':1:1 the folder holds more than 5 files, so nothing new is read until there are fewer',
      ])
      await unlink(file('5.yaml'))
      const state = await watching.until((now) => now.problems.length === 0)
      expect(find(state, routeRef('a', 'r4'))).toBeDefined()
    })

    test('a folder that does not exist is told at the start', async () => {
      await expect(createFileSource({ folders: [file('absent')] }).start(() => undefined)).rejects.toThrow(
        'no such folder',
      )
      await writeFile(file('plain'), '')
      await expect(createFileSource({ folders: [file('plain')] }).start(() => undefined)).rejects.toThrow(
        'not a folder',
      )
    })
  })
})

// The laws of the house, held by a machine: who may import whom, no cycles, what pure code may not touch, no state in
// modules, no work at import time. Types count: an import of a type is an import.
import { describe, expect, test } from 'vitest'
import { parseSource, readSourceTree, type SourceFile } from './support/source-tree.ts'

const files = readSourceTree()
const shipped = files.filter((file) => !file.isTest)
const byPath = new Map(files.map((file) => [file.path, file]))

const PURE = [
  /^model\//,
  /^policies\/index\.ts$/,
  /^policies\/[^/]+\/(policy|schema|compile)\.ts$/,
  /^controller\/compile\//,
]
/** Packages that pure code may use: they are pure themselves. */
const PURE_PACKAGES = ['ipaddr.js', 're2js']
/** Where things are constructed: programs, not modules. */
const PROGRAMS = [/^bin\//, /(^|\/)main\.ts$/, /^dataplane\/worker\.ts$/, /^scripts\//, /^demo\//]
/** Patterns made from text at run time. Each says where the text comes from. */
const REGEXP_FROM_TEXT: ReadonlyMap<string, string> = new Map([['model/check-value.ts', 'patterns of our own schemas']])

interface Law {
  readonly who: RegExp
  /** Of the repository's own files. */
  readonly mayImport: readonly RegExp[]
}

/** The first law whose `who` holds decides. */
const LAWS: readonly Law[] = [
  { who: /^model\//, mayImport: [/^model\//] },
  { who: /^policies\/index\.ts$/, mayImport: [/^model\//, /^policies\/[^/]+\/policy\.ts$/] },
  {
    who: /^policies\/filters\.ts$/,
    mayImport: [/^model\//, /^policies\/index\.ts$/, /^policies\/[^/]+\/filter\.ts$/],
  },
  { who: /^policies\//, mayImport: [/^model\//] },
  { who: /^controller\/compile\//, mayImport: [/^model\//, /^policies\/index\.ts$/, /^controller\/compile\//] },
  { who: /^controller\/sources\//, mayImport: [/^model\//, /^controller\/sources\//] },
  { who: /^peer\//, mayImport: [/^model\//, /^peer\//] },
  { who: /^controller\/publish\//, mayImport: [/^(model|peer)\//, /^controller\/publish\//] },
  {
    // What compile found is what report tells, so it reads the types of the result.
    who: /^controller\/report\//,
    mayImport: [
      /^model\//,
      /^controller\/report\//,
      /^controller\/compile\/compile-types\.ts$/,
      /^controller\/(sources\/source|publish\/publisher|api-calls)\.ts$/,
      /^controller\/write-queue\.ts$/,
    ],
  },
  { who: /^controller\//, mayImport: [/^(model|peer)\//, /^policies\/index\.ts$/, /^controller\//] },
  { who: /^dataplane\/build\//, mayImport: [/^model\//, /^policies\/(index|filters)\.ts$/, /^dataplane\//] },
  { who: /^dataplane\/receive\//, mayImport: [/^(model|peer)\//, /^dataplane\//] },
  { who: /^dataplane\/([^/]+)\//, mayImport: [/^model\//, /^dataplane\//] },
  { who: /^dataplane\//, mayImport: [/^model\//, /^policies\/(index|filters)\.ts$/, /^dataplane\//] },
  { who: /^bin\//, mayImport: [/^(bin|model|peer|policies|controller|dataplane|demo)\//, /^scripts\/generate\//] },
  { who: /^demo\//, mayImport: [/^(demo|bin|model)\//] },
  { who: /^scripts\//, mayImport: [/./] },
]

const own = (file: SourceFile) => file.imports.filter((target) => target.endsWith('.ts') && target.includes('/'))
const packages = (file: SourceFile) => file.imports.filter((target) => !own(file).includes(target))
const isAny = (path: string, patterns: readonly RegExp[]) => patterns.some((pattern) => pattern.test(path))

/** Lines of `file.code` that match, as `path:line: text`. */
function linesWith(file: SourceFile, pattern: RegExp): readonly string[] {
  return [...file.code.matchAll(new RegExp(pattern, 'gm'))].map((match) => {
    const line = file.code.slice(0, match.index).split('\n').length
    return `${file.path}:${line}: ${(file.text.split('\n')[line - 1] ?? '').trim()}`
  })
}

test('the scanner sees the repository', () => {
  expect(shipped.length).toBeGreaterThan(50)
  expect(shipped.flatMap(own).length).toBeGreaterThan(150)
  expect(files.filter((file) => file.isTest).length).toBeGreaterThan(3)
})

describe('imports', () => {
  test('lead to files that exist', () => {
    const broken = files.flatMap((file) =>
      own(file)
        .filter((target) => !byPath.has(target))
        .map((target) => `${file.path} → ${target}`),
    )
    expect(broken).toEqual([])
  })

  test('obey the law', () => {
    const broken = shipped.flatMap((file) => {
      const law = LAWS.find(({ who }) => who.test(file.path))
      if (law === undefined) return [`${file.path}: no law`]
      const folder = /^policies\/[^/]+\//.exec(file.path)?.[0]
      return own(file)
        .filter((target) => !isAny(target, law.mayImport) && !(folder !== undefined && target.startsWith(folder)))
        .map((target) => `${file.path} → ${target}`)
    })
    expect(broken).toEqual([])
  })

  test('inside a policy, compile and filter share the schema only', () => {
    const broken = shipped
      .filter((file) => /^policies\/[^/]+\/(compile|filter)\.ts$/.test(file.path))
      .flatMap((file) => own(file).filter((target) => /^policies\/[^/]+\/(policy|compile|filter)\.ts$/.test(target)))
    expect(broken).toEqual([])
  })

  test('go in no circle, types included', () => {
    expect(findCycle(shipped)).toEqual([])
  })

  test('of shipped code never lead to tests', () => {
    const broken = shipped.flatMap((file) => own(file).filter((target) => byPath.get(target)?.isTest === true))
    expect(broken).toEqual([])
  })

  test('model and policies know no Node, pure code no package but pure ones', () => {
    const broken = shipped
      .filter((file) => isAny(file.path, PURE) || file.path.startsWith('policies/'))
      .flatMap((file) => packages(file).map((name) => [file.path, name] as const))
      .filter(([, name]) => !PURE_PACKAGES.includes(name))
    expect(broken).toEqual([])
  })
})

describe('pure code', () => {
  const pure = shipped.filter((file) => isAny(file.path, PURE))

  test('is there', () => expect(pure.length).toBeGreaterThan(30))

  test('has no clock, no randomness, no console, no environment, no locale', () => {
    const forbidden =
      /\bDate\b(?!\(\s*[^)\s])|\b(performance|setTimeout|setInterval|setImmediate|queueMicrotask|console|process|globalThis|crypto|fetch|Intl|Buffer)\b(?!['"?]?:)|Math\.random|\.localeCompare\(|\.toLocale/
    expect(pure.flatMap((file) => linesWith(file, forbidden))).toEqual([])
  })
})

describe('modules', () => {
  const modules = shipped.filter((file) => !isAny(file.path, PROGRAMS))

  test('hold no state', () => {
    const variable = /^(?:export\s+)?(?:let|var)\s/
    // A Set or Map that nobody can write to is a constant, and so is a text coder; every other object is state.
    const made = /^(?:export\s+)?const\s+\w+\b(?!\s*:\s*Readonly(?:Set|Map)<)[^=\n]*=\s*new\s(?!Text(?:En|De)coder\()/
    expect(modules.flatMap((file) => [...linesWith(file, variable), ...linesWith(file, made)])).toEqual([])
  })

  test('do nothing when imported', () => {
    const statement =
      /^(?!(?:import|export|const|function|async|class|abstract|interface|type|declare|enum)\b)(?:await\s|new\s|if\b|for\b|while\b|try\b|throw\b|[A-Za-z_$][\w$.]*(?:\(|\s*\+?=[^=>]|\+\+))/
    expect(modules.flatMap((file) => linesWith(file, statement))).toEqual([])
  })
})

describe('keys and patterns', () => {
  test('no key is joined from texts: tuples have tupleKey', () => {
    const template = '`[^`]*\\$\\{[^`]*\\}[^`]*\\$\\{[^`]*`'
    const used = new RegExp(`(?<!findings)\\.(?:get|set|has|delete|add)\\(\\s*${template}`)
    const named = new RegExp(`\\b(?:const|let)\\s+(?:key|id|\\w*(?:Key|Id))\\s*=\\s*${template}`)
    const joined = /\b(?:const|let)\s+(?:key|\w*Key)\s*=\s*[^\n]*\.join\(/
    const found = shipped.flatMap((file) => [used, named, joined].flatMap((pattern) => linesWith(file, pattern)))
    expect(found).toEqual([])
  })

  test('no pattern is made from text, except where a list says from which', () => {
    const found = shipped.filter((file) => !REGEXP_FROM_TEXT.has(file.path) && !file.path.startsWith('scripts/'))
    expect(found.flatMap((file) => linesWith(file, /\bRegExp\((?!\s*['"])/))).toEqual([])
  })
})

describe('style', () => {
  test('no casts through unknown, no silenced errors, nothing left for later', () => {
    const found = shipped.flatMap((file) => [
      ...linesWith(file, /\bas unknown as\b/),
      ...file.text
        .split('\n')
        .filter((line) => /@ts-(ignore|expect-error|nocheck)|\b(TODO|FIXME|XXX|HACK)\b/.test(line))
        .map((line) => `${file.path}: ${line.trim()}`),
    ])
    expect(found).toEqual([])
  })

  test('every file says what it is before anything else; a test may leave it to its file', () => {
    const named = files.filter((file) => !file.path.endsWith('.test.ts'))
    const silent = named.filter((file) => !/^(#!.*\n)?\/\/ \S/.test(file.text)).map((file) => file.path)
    expect(silent).toEqual([])
  })
})

describe('the scanner', () => {
  const scan = (text: string) => parseSource('model/a.ts', text)

  test('finds every form of import, and none in texts and comments', () => {
    const { imports } = scan(
      [
        "import type { A } from './b.ts'",
        'import {\n  x,\n  type Y,\n} from "../policies/index.ts"',
        "export { z } from './c.ts'",
        "export * from './d.ts'",
        "import './e.ts'",
        "const lazy = () => import('./f.ts')",
        "// import './no.ts'",
        "/* import './no.ts' */",
        "const text = `\nimport './no.ts'\n`",
        'const quoted = "import(\'./no.ts\')"',
      ].join('\n'),
    )
    expect([...imports].sort()).toEqual(
      ['model/b.ts', 'policies/index.ts', 'model/c.ts', 'model/d.ts', 'model/e.ts', 'model/f.ts'].sort(),
    )
  })

  test('blanks texts, patterns and comments, and keeps code inside templates', () => {
    const { code } = scan(
      ["const a = 'Date' + `x $", "{Date.now()} y` + /Date[/]'/.source // Date\nlet b = 1 / 2 / c"].join(''),
    )
    expect(code.match(/Date/g)).toHaveLength(1)
    expect(code).toContain('\nlet b = 1 / 2 / c')
  })

  test('finds a circle', () => {
    const a = parseSource('model/a.ts', "import type { B } from './b.ts'")
    const b = parseSource('model/b.ts', "import { c } from './c.ts'")
    const c = parseSource('model/c.ts', "export { a } from './a.ts'")
    expect(findCycle([a, b, c])).toEqual(['model/a.ts', 'model/b.ts', 'model/c.ts', 'model/a.ts'])
    expect(findCycle([a, b])).toEqual([])
  })
})

/** One circle of imports, its first file repeated at the end; empty where there is none. */
function findCycle(among: readonly SourceFile[]): readonly string[] {
  const graph = new Map(among.map((file) => [file.path, own(file)]))
  const done = new Set<string>()
  const trail: string[] = []
  const visit = (path: string): readonly string[] => {
    if (trail.includes(path)) return [...trail.slice(trail.indexOf(path)), path]
    if (done.has(path)) return []
    trail.push(path)
    for (const target of graph.get(path) ?? []) {
      const cycle = visit(target)
      if (cycle.length > 0) return cycle
    }
    trail.pop()
    done.add(path)
    return []
  }
  for (const path of graph.keys()) {
    const cycle = visit(path)
    if (cycle.length > 0) return cycle
  }
  return []
}

// Reads the repository's own TypeScript: its files, what they import, and their code with comments and texts blanked.
// Used by architecture.test.ts. TypeScript 7 has no JavaScript API, so this is a small scanner of our own.
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, posix, relative, sep } from 'node:path'

const ROOT = join(import.meta.dirname, '..', '..')
const FOLDERS = [
  'bin',
  'controller',
  'dataplane',
  'demo',
  'model',
  'peer',
  'policies',
  'scripts',
  'test',
  'bench',
  'e2e',
]

export interface SourceFile {
  /** From the root of the repository, with slashes. */
  readonly path: string
  readonly text: string
  /** The same length and lines, with comments and the contents of texts blanked; `${…}` inside a template stays. */
  readonly code: string
  /** What it imports or re-exports, types included: paths of the repository, or names of packages. */
  readonly imports: readonly string[]
  readonly isTest: boolean
}

/** All TypeScript files of the repository, ordered by path. */
export function readSourceTree(): readonly SourceFile[] {
  const paths = FOLDERS.flatMap((folder) => {
    try {
      return readdirSync(join(ROOT, folder), { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
        .map((entry) => relative(ROOT, join(entry.parentPath, entry.name)).split(sep).join('/'))
    } catch {
      return []
    }
  })
  return paths.sort().map((path) => parseSource(path, readFileSync(join(ROOT, path), 'utf8')))
}

/** Scans one file. */
export function parseSource(path: string, text: string): SourceFile {
  const { code, uncommented } = blank(text)
  const isTest = path.endsWith('.test.ts') || /^(test|bench|e2e)\//.test(path)
  return { path, text, code, imports: findImports(path, uncommented, code), isTest }
}

function findImports(path: string, uncommented: string, code: string): readonly string[] {
  const found: string[] = []
  const patterns = [/^(?:import|export)\b[^'"`;=(]*?\bfrom\s*(['"])/gm, /^import\s*(['"])/gm, /\bimport\(\s*(['"])/g]
  for (const pattern of patterns) {
    // Searched in the blanked code, so that words inside texts and comments are no imports; read from the plain one.
    for (const match of code.matchAll(pattern)) {
      const start = match.index + match[0].length
      const end = uncommented.indexOf(match[1] ?? "'", start)
      found.push(resolveImport(path, uncommented.slice(start, end)))
    }
  }
  return found
}

function resolveImport(path: string, specifier: string): string {
  return specifier.startsWith('.') ? posix.normalize(posix.join(dirname(path), specifier)) : specifier
}

type State = 'code' | 'line' | 'block' | "'" | '"' | '`' | 'regex' | 'class'

/** Blanks comments in both results, and contents of texts, templates and regular expressions in `code`. */
function blank(text: string): { readonly code: string; readonly uncommented: string } {
  let code = ''
  let uncommented = ''
  let state: State = 'code'
  /** For each open template: how many braces are open inside its `${`. */
  const templates: number[] = []
  const keep = (part: string) => {
    code += part
    uncommented += part
  }
  for (let at = 0; at < text.length; at += 1) {
    const character = text[at] ?? ''
    const pair = text.slice(at, at + 2)
    const filler = character === '\n' ? '\n' : ' '
    if (state === 'line' || state === 'block') {
      const ends = state === 'line' ? character === '\n' : pair === '*/'
      keep(ends && state === 'block' ? '  ' : filler)
      if (ends && state === 'block') at += 1
      if (ends) state = 'code'
    } else if (state === 'code') {
      if (pair === '//' || pair === '/*') {
        state = pair === '//' ? 'line' : 'block'
        keep('  ')
        at += 1
      } else if (character === "'" || character === '"' || character === '`') {
        state = character
        keep(character)
        if (character === '`') templates.push(-1)
      } else if (character === '/' && beginsRegex(code)) {
        state = 'regex'
        keep(character)
      } else {
        const open = templates.length - 1
        const depth = templates[open]
        if (depth !== undefined && character === '{') templates[open] = depth + 1
        if (depth !== undefined && character === '}') {
          if (depth === 0) {
            templates[open] = -1
            state = '`'
          } else templates[open] = depth - 1
        }
        keep(character)
      }
    } else if (character === '\\') {
      code += '  '
      uncommented += pair
      at += 1
    } else if (state === '`' && pair === '${') {
      keep(pair)
      at += 1
      templates[templates.length - 1] = 0
      state = 'code'
    } else if (character === state || (state === 'regex' && character === '/')) {
      if (state === '`') templates.pop()
      state = 'code'
      keep(character)
    } else {
      if (state === 'regex' && character === '[') state = 'class'
      else if (state === 'class' && character === ']') state = 'regex'
      code += filler
      uncommented += character
    }
  }
  return { code, uncommented }
}

/** Whether a slash after this code begins a regular expression: after an operator, an opening bracket or a keyword. */
function beginsRegex(code: string): boolean {
  const before = code.trimEnd()
  return (
    before === '' || /[=(,:[!&|?{};+\-*%~^<>]$/.test(before) || /\b(return|typeof|case|in|of|yield|await)$/.test(before)
  )
}

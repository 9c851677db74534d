// The values that the chart would be installed with: its defaults, and over them what a file says. Reads the chart that
// stands beside this command. `atrium check --pre --values` judges by them.
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { text as readAll } from 'node:stream/consumers'
import { parse } from 'yaml'
import { nearest } from '../../model/wording.ts'
import { usageFailure } from '../exit.ts'
import { wordsOf } from './kubernetes.ts'

/** Values by path, such as `dataplane.service.type`. */
export interface ChartValues {
  /** The value in force: the file's, else the chart's. */
  at(path: string): unknown
  /** Whether the file itself says it. */
  given(path: string): boolean
  /** What the file says that the chart does not know, each with the nearest name that it does. */
  readonly unknown: readonly { readonly path: string; readonly nearest: string | undefined }[]
}

/** From source and compiled. */
const CHARTS = ['../..', '../../..'].map((up) =>
  join(import.meta.dirname, up, 'charts', 'atrium', 'files', 'defaults.yaml'),
)

/** Reads a file of values, `-` for stdin; without one, the chart's own. Fails with 2 where it cannot be read. */
export async function readValues(file: string | undefined): Promise<ChartValues> {
  const chart = CHARTS.find((path) => existsSync(path))
  if (chart === undefined) throw usageFailure('The chart is not beside this command: run it from the repository.')
  const defaults = Object(parse(await readFile(chart, 'utf8')))
  const text =
    file === undefined ? '' : await (file === '-' ? readStdin() : readFile(file, 'utf8')).catch(() => undefined)
  if (text === undefined) throw usageFailure(`--values: ${file} cannot be read.`)
  let given: unknown
  try {
    given = parse(text) ?? {}
  } catch (error) {
    throw usageFailure(`--values: ${file} is no YAML: ${wordsOf(error).split('\n')[0]}`)
  }
  if (typeof given !== 'object' || given === null || Array.isArray(given)) {
    throw usageFailure(`--values: ${file} holds no map of values.`)
  }
  return chartValues(defaults, given)
}

async function readStdin(): Promise<string> {
  return await readAll(process.stdin)
}

/** `defaults` by path; `given` as a tree. */
export function chartValues(defaults: Readonly<Record<string, unknown>>, given: object): ChartValues {
  const own = (path: string) => path.split('.').reduce((tree: unknown, name) => Object(tree)[name], given)
  const known = Object.keys(defaults)
  return {
    at: (path) => own(path) ?? defaults[path],
    given: (path) => own(path) !== undefined && own(path) !== null,
    unknown: unknownPaths(known, given, []).map((path) => ({ path, nearest: nearest(path, known) })),
  }
}

/** Of the umbrella chart. */
const FOREIGN: ReadonlySet<string> = new Set(['global', 'enabled'])

function unknownPaths(known: readonly string[], tree: object, at: readonly string[]): readonly string[] {
  return Object.entries(tree).flatMap(([name, value]: [string, unknown]) => {
    const path = [...at, name].join('.')
    if (known.includes(path) || (at.length === 0 && FOREIGN.has(name))) return []
    const isGroup = known.some((each) => each.startsWith(`${path}.`))
    if (!isGroup) return [path]
    return typeof value === 'object' && value !== null ? unknownPaths(known, value, [...at, name]) : []
  })
}

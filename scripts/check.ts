// Everything that a change must pass besides the tests: `npm run check`. One line for each step with its time, then
// the details of those that failed. Exit code 1 if any did.
import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { differences } from './generate.ts'

const ROOT = resolve(import.meta.dirname, '..')
const WARN_LINES = 300
const MOST_LINES = 500

/** Warnings count; the order of imports is left to their author. */
const BIOME = ['ci', '.', '--error-on-warnings', '--assist-enabled=false', '--colors=off', '--max-diagnostics=40']

interface Outcome {
  readonly ok: boolean
  /** What is wrong, or what is worth knowing though it passes. */
  readonly details: string
}

interface Step {
  readonly name: string
  run(): Promise<Outcome>
}

const STEPS: readonly Step[] = [
  { name: 'format and lint', run: () => command('@biomejs/biome/bin/biome', BIOME) },
  { name: 'types', run: () => command('typescript/bin/tsc', ['-p', 'tsconfig.json']) },
  { name: 'types of pure code', run: () => command('typescript/bin/tsc', ['-p', 'tsconfig.pure.json']) },
  {
    name: 'architecture',
    run: () => command('vitest/vitest.mjs', ['run', 'test/architecture.test.ts', '--reporter=dot']),
  },
  { name: 'unused code', run: () => command('knip/bin/knip.js', ['--no-progress']) },
  { name: 'generated files', run: async () => checkGenerated() },
  { name: 'length of files', run: async () => checkLengths(await trackedFiles()) },
  { name: 'registry hosts', run: async () => checkRegistryHosts(await trackedFiles()) },
]

/** Runs all steps, two at a time, and prints them in order. Returns whether all passed. */
async function runChecks(): Promise<boolean> {
  const waiting = [...STEPS.entries()]
  const results: { outcome: Outcome; seconds: number }[] = []
  let printed = 0
  const work = async () => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const [index, step] = next
      const began = performance.now()
      const outcome = await step.run()
      results[index] = { outcome, seconds: (performance.now() - began) / 1000 }
      for (let result = results[printed]; result !== undefined; result = results[printed]) {
        console.log(line(STEPS[printed]?.name ?? '', result.outcome, result.seconds))
        printed += 1
      }
    }
  }
  await Promise.all([work(), work()])
  results.forEach(({ outcome }, index) => {
    if (outcome.details !== '') console.log(`\n${STEPS[index]?.name}:\n${outcome.details.trimEnd()}`)
  })
  return results.every(({ outcome }) => outcome.ok)
}

function line(name: string, outcome: Outcome, seconds: number): string {
  const verdict = outcome.ok ? (outcome.details === '' ? 'ok  ' : 'note') : 'FAIL'
  return `${verdict}  ${name.padEnd(20)}${seconds.toFixed(1).padStart(6)} s`
}

/** Runs a tool of node_modules with this Node; its output counts only where it fails. */
function command(tool: string, args: readonly string[]): Promise<Outcome> {
  const { promise, resolve: settle } = Promise.withResolvers<Outcome>()
  const { FORCE_COLOR: _, ...inherited } = process.env
  const environment = { ...inherited, NO_COLOR: '1' }
  const child = spawn(process.execPath, [join(ROOT, 'node_modules', tool), ...args], { cwd: ROOT, env: environment })
  const chunks: Buffer[] = []
  child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk))
  child.stderr.on('data', (chunk: Buffer) => chunks.push(chunk))
  child.on('error', (error) => settle({ ok: false, details: `${tool}: ${error.message}` }))
  child.on('close', (code) => settle({ ok: code === 0, details: code === 0 ? '' : Buffer.concat(chunks).toString() }))
  return promise
}

function checkGenerated(): Outcome {
  const stale = differences(ROOT).map(({ path, what }) => `${path} ${what}`)
  return { ok: stale.length === 0, details: stale.length === 0 ? '' : [...stale, 'Run: npm run generate'].join('\n') }
}

function checkLengths(paths: readonly string[]): Outcome {
  const long = paths
    .filter((path) => /\.(ts|mjs)$/.test(path))
    .map((path) => ({ path, lines: readFileSync(join(ROOT, path), 'utf8').split('\n').length - 1 }))
    .filter(({ lines }) => lines > WARN_LINES)
    .sort((a, b) => b.lines - a.lines)
  const details = long.map(
    ({ path, lines }) => `${String(lines).padStart(5)}  ${path}${lines > MOST_LINES ? '  too long' : ''}`,
  )
  return { ok: long.every(({ lines }) => lines <= MOST_LINES), details: details.join('\n') }
}

/** A host of a package registry in a file would send every reader's install there. */
async function checkRegistryHosts(paths: readonly string[]): Promise<Outcome> {
  const hosts = [['registry', 'npmjs', 'org'].join('.'), ['registry', 'yarnpkg', 'com'].join('.')]
  const configured = process.env['npm_config_registry'] ?? ''
  if (URL.canParse(configured)) hosts.push(new URL(configured).host)
  const found = paths.flatMap((path) => {
    const text = readFileSync(join(ROOT, path), 'utf8')
    const named = hosts.filter((host) => text.includes(host)).map((host) => `${path} names ${host}`)
    if (path === 'package-lock.json' && text.includes('"resolved": "http')) named.push(`${path} has resolved addresses`)
    return named
  })
  return { ok: found.length === 0, details: found.join('\n') }
}

/** Files of the repository: those that git knows or would add. */
async function trackedFiles(): Promise<readonly string[]> {
  const { promise, resolve: settle, reject } = Promise.withResolvers<string>()
  const child = spawn('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], { cwd: ROOT })
  const chunks: Buffer[] = []
  child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk))
  child.on('error', reject)
  child.on('close', () => settle(Buffer.concat(chunks).toString()))
  return (await promise).split('\0').filter((path) => path !== '' && !isGone(path))
}

/** Deleted, but not yet for git. */
function isGone(path: string): boolean {
  try {
    readFileSync(join(ROOT, path))
    return false
  } catch {
    return true
  }
}

process.exitCode = (await runChecks()) ? 0 : 1

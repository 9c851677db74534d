// The scripts that stand before everything else, on a small repository of their own: install, run, exit codes, signals.
import { spawn } from 'node:child_process'
import { copyFile, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'

const SCRIPTS = ['atrium.mjs', 'install.mjs', 'launch.mjs', 'locked.mjs', 'run.mjs']
let root = ''

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'atrium-scripts-'))
  await mkdir(join(root, 'scripts'))
  for (const name of SCRIPTS) await copyFile(join(import.meta.dirname, name), join(root, 'scripts', name))
})

afterEach(() => rm(root, { recursive: true, force: true }))

interface Ended {
  readonly code: number | null
  readonly out: string
  readonly err: string
}

function start(args: readonly string[], env: NodeJS.ProcessEnv = {}) {
  const child = spawn(process.execPath, args, { cwd: root, env: { ...process.env, ...env } })
  let out = ''
  let err = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    out += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    err += text
  })
  const ended = new Promise<Ended>((resolve) => child.on('close', (code) => resolve({ code, out, err })))
  return { child, ended }
}

async function lock(packages: Record<string, unknown>): Promise<void> {
  const manifest = { name: 'small', version: '1.0.0' }
  await writeFile(join(root, 'package.json'), JSON.stringify({ ...manifest, dependencies: { nothing: '1.0.0' } }))
  await writeFile(
    join(root, 'package-lock.json'),
    JSON.stringify({
      ...manifest,
      lockfileVersion: 3,
      packages: { '': { dependencies: { nothing: '1.0.0' } }, ...packages },
    }),
  )
}

it('installs nothing, and says nothing, where everything is there', async () => {
  const nothing = { version: '1.0.0', integrity: 'sha512-x' }
  await lock({ 'node_modules/nothing': nothing, 'node_modules/other': { version: '1', optional: true, os: ['plan9'] } })
  await mkdir(join(root, 'node_modules', 'nothing'), { recursive: true })
  await writeFile(join(root, 'node_modules', 'nothing', 'package.json'), '{}')
  await writeFile(
    join(root, 'node_modules', '.package-lock.json'),
    JSON.stringify({ packages: { 'node_modules/nothing': nothing } }),
  )
  expect(await start(['scripts/install.mjs']).ended).toEqual({ code: 0, out: '', err: '' })
})

it('says which package, which registry and what to do where there is no network', async () => {
  await lock({ 'node_modules/nothing': { version: '1.0.0', resolved: 'http://127.0.0.1:1/nothing-1.0.0.tgz' } })
  const { code, out, err } = await start(['scripts/install.mjs'], {
    npm_config_registry: 'http://127.0.0.1:1/',
    npm_config_cache: join(root, 'cache'),
    npm_config_fetch_retries: '0',
    npm_execpath: '',
  }).ended
  expect(code).toBe(1)
  expect(out).toContain('Installing what is locked')
  expect(err).toMatch(/package {3}nothing/)
  expect(err).toContain('registry  http://127.0.0.1:1/')
  expect(err).toContain('npm start again is safe')
})

it('runs TypeScript and keeps arguments and exit code', async () => {
  await writeFile(
    join(root, 'a.ts'),
    'const args: string[] = process.argv.slice(2); console.log(args.join(" ")); process.exitCode = 7',
  )
  expect(await start(['scripts/run.mjs', 'a.ts', '--x', 'y']).ended).toMatchObject({ code: 7, out: '--x y\n' })
})

it.each([
  ['SIGTERM', 143],
  ['SIGINT', 130],
] as const)('passes %s on, and ends as its child ends', async (signal, code) => {
  await writeFile(join(root, 'wait.ts'), 'console.log("up"); setInterval(() => undefined, 1000)')
  const { child, ended } = start(['scripts/run.mjs', 'wait.ts'])
  await new Promise((resolve) => child.stdout.once('data', resolve))
  child.kill(signal)
  expect((await ended).code).toBe(code)
})

it('ends its child in order when npm killed the shell between them', async () => {
  await writeFile(
    join(root, 'wait.ts'),
    'console.log(process.pid); setInterval(() => undefined, 1000); process.on("SIGTERM", () => { console.log("in order"); process.exit(0) })',
  )
  const shell = spawn('sh', ['-c', `"${process.execPath}" scripts/run.mjs wait.ts; true`], {
    cwd: root,
    env: { ...process.env, npm_command: 'run-script' },
  })
  let out = ''
  const said = new Promise<void>((resolve) => {
    shell.stdout.setEncoding('utf8').on('data', (text: string) => {
      if (out === '') shell.kill('SIGTERM')
      out += text
      if (out.includes('in order')) resolve()
    })
  })
  await said
})

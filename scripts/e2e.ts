// `npm run e2e`: the tests on a cluster. Takes the cluster of KUBECONFIG, else one of kind where Docker runs, else one of
// e2e/cluster, which it builds, starts and takes away again, whatever happens.
//   npm run e2e [-- --all] [--nodes N] [--keep] [FILE …]
// With KUBECONFIG the image must be where the cluster finds it: ATRIUM_E2E_IMAGE=repository:tag.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { runVitest } from './vitest-tally.ts'

const ROOT = resolve(import.meta.dirname, '..')
const SCRIPTS = join(ROOT, 'e2e', 'cluster')
const ARCHIVE = join(ROOT, 'dist', 'image.tar')
/** What every run tries; `--all` is everything under e2e. */
const USUAL = ['01-install', '02-propagation', '07-stray-pod', '08-bad-objects']

interface Cluster {
  readonly environment: Readonly<Record<string, string>>
  down(): void
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    all: { type: 'boolean', default: false },
    nodes: { type: 'string', default: '1' },
    keep: { type: 'boolean', default: false },
  },
})

process.exitCode = await main()

async function main(): Promise<number> {
  const cluster = process.env['KUBECONFIG'] !== undefined ? givenCluster() : dockerRuns() ? kindCluster() : ownCluster()
  let isDown = false
  const down = () => {
    if (isDown || values.keep) return
    isDown = true
    cluster.down()
  }
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(signal, () => {
      down()
      process.exit(130)
    })
  }
  try {
    const files = positionals.length > 0 ? positionals : values.all ? [] : USUAL
    const all: Readonly<Record<string, string>> = values.all ? { ATRIUM_E2E_ALL: '1' } : {}
    const { passed, failed } = await runVitest(['--config', join('e2e', 'vitest.config.ts'), ...files], {
      ...cluster.environment,
      ...all,
    })
    console.log(`\n${passed} passed, ${failed} failed`)
    return failed === 0 && passed > 0 ? 0 : 1
  } finally {
    down()
  }
}

function givenCluster(): Cluster {
  say(`the cluster of ${process.env['KUBECONFIG']}`)
  return { environment: {}, down: () => {} }
}

function kindCluster(): Cluster {
  say('a cluster of kind')
  makeImage()
  const folder = mkdtempSync(join(tmpdir(), 'atrium-e2e-'))
  const kubeconfig = join(folder, 'kubeconfig')
  const name = `atrium-e2e-${process.pid}`
  const down = () => {
    spawnSync('kind', ['delete', 'cluster', '--name', name], { stdio: 'inherit' })
    rmSync(folder, { recursive: true, force: true })
  }
  try {
    must('kind', ['create', 'cluster', '--name', name, '--kubeconfig', kubeconfig, '--wait', '120s'])
    must('kind', ['load', 'image-archive', ARCHIVE, '--name', name])
  } catch (error) {
    down()
    throw error
  }
  return { environment: { KUBECONFIG: kubeconfig }, down }
}

function ownCluster(): Cluster {
  say('a cluster of e2e/cluster')
  installPackages()
  // Nothing to do where it was built before; the build waits for another that is under way.
  must(join(SCRIPTS, 'build'), [])
  makeImage()
  const folder = mkdtempSync(join(tmpdir(), 'atrium-e2e-'))
  const state = join(folder, 'cluster')
  const down = () => {
    spawnSync(join(SCRIPTS, 'down'), ['--state', state], { stdio: 'inherit' })
    rmSync(folder, { recursive: true, force: true })
  }
  try {
    must(join(SCRIPTS, 'up'), ['--nodes', values.nodes, '--state', state])
    must(join(SCRIPTS, 'image'), ['--state', state, ARCHIVE])
  } catch (error) {
    down()
    throw error
  }
  if (values.keep)
    say(`kept: export KUBECONFIG=${join(state, 'admin.kubeconfig')}; ${join(SCRIPTS, 'down')} --state ${state}`)
  return { environment: { KUBECONFIG: join(state, 'admin.kubeconfig') }, down }
}

function makeImage(): void {
  must(process.execPath, [join(ROOT, 'scripts', 'build.ts')])
  must(process.execPath, [join(ROOT, 'scripts', 'image.ts')])
}

function dockerRuns(): boolean {
  return spawnSync('docker', ['info'], { timeout: 10_000 }).status === 0 && spawnSync('kind', ['version']).status === 0
}

/** What nodes need beside what is built. On Debian, as root, it is installed; elsewhere `up` says what is missing. */
function installPackages(): void {
  const has = (program: string) =>
    spawnSync('sh', ['-c', `command -v ${program}`], { env: withSystemPaths() }).status === 0
  const wanted = {
    runc: 'runc',
    iptables: 'iptables',
    nft: 'nftables',
    conntrack: 'conntrack',
    ip: 'iproute2',
    pgrep: 'procps',
    openssl: 'openssl',
  }
  const missing: string[] = Object.entries(wanted).flatMap(([program, name]) => (has(program) ? [] : [name]))
  if (!has('/usr/lib/cni/ptp') && !has('/opt/cni/bin/ptp')) missing.push('containernetworking-plugins')
  if (missing.length === 0 || process.getuid?.() !== 0 || !isDebian()) return
  say(`installing ${missing.join(' ')}`)
  const environment = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  spawnSync('apt-get', ['update', '-q'], { stdio: 'ignore', env: environment })
  must('apt-get', ['install', '-q', '-y', '--no-install-recommends', ...missing])
}

function isDebian(): boolean {
  try {
    return /^ID(_LIKE)?=.*debian/m.test(readFileSync('/etc/os-release', 'utf8'))
  } catch {
    return false
  }
}

/** Go and the tools of an administrator are often not on the path of a shell that no person opened. */
function withSystemPaths(): NodeJS.ProcessEnv {
  const path = [process.env['PATH'], '/usr/local/go/bin', '/usr/sbin', '/sbin'].filter(Boolean).join(delimiter)
  return { ...process.env, PATH: path }
}

function must(program: string, args: readonly string[]): void {
  const { status, error } = spawnSync(program, args, { cwd: ROOT, stdio: 'inherit', env: withSystemPaths() })
  if (error !== undefined) throw error
  if (status !== 0) throw new Error(`${program} ${args.join(' ')} ended with ${status}`)
}

function say(text: string): void {
  console.log(`e2e: ${text}`)
}

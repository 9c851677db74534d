// What the root file system of the image holds, layer by layer: Node with the libraries it links, the packages that run in
// production, Atrium compiled. No shell, no npm, no certificates (Node brings its own list). Part of image.ts.
import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync, realpathSync, statSync } from 'node:fs'
import { join, relative } from 'node:path'
import type { TarEntry } from './tar.ts'

/** Where things are in the image. */
export const IMAGE_PATHS = {
  node: '/usr/local/bin/node',
  app: '/app',
  entry: '/app/bin/atrium.js',
} as const

/**
 * The environment of its processes. With a larger young generation than Node takes by itself in a container of this size,
 * the time from an edit to the last pod was about a tenth shorter (e2e/02-propagation, one run of each).
 */
export const IMAGE_ENVIRONMENT = [
  'PATH=/usr/local/bin',
  'NODE_ENV=production',
  'NODE_OPTIONS=--max-semi-space-size=32',
] as const

/** Whom the processes run as: nobody in particular, and not root. */
export const IMAGE_USER = 65_532

const RUN = 0o555
const READ = 0o444

/** Node, the loader and libraries that it links, and the few files that libc reads. */
export function nodeFiles(node: string): readonly TarEntry[] {
  const passwd = `root:x:0:0:root:/:/nonexistent\natrium:x:${IMAGE_USER}:${IMAGE_USER}:atrium:/tmp:/nonexistent\n`
  return [
    { path: IMAGE_PATHS.node.slice(1), mode: RUN, body: readFileSync(node) },
    ...linkedLibraries(node).map((path) => ({
      path: path.slice(1),
      mode: RUN,
      body: readFileSync(realpathSync(path)),
    })),
    { path: 'etc/passwd', mode: READ, body: Buffer.from(passwd) },
    { path: 'etc/group', mode: READ, body: Buffer.from(`root:x:0:\natrium:x:${IMAGE_USER}:\n`) },
    { path: 'etc/nsswitch.conf', mode: READ, body: Buffer.from('hosts: files dns\n') },
    { path: 'tmp', mode: 0o1777 },
  ]
}

/** Packages of the lock file that are needed in production, without what nobody runs. */
export function packageFiles(root: string): readonly TarEntry[] {
  const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, { dev?: boolean; optional?: boolean; devOptional?: boolean; version: string }>
  }
  return Object.entries(lock.packages)
    .filter(([path, entry]) => path !== '' && !entry.dev && !entry.optional && !entry.devOptional)
    .flatMap(([path, { version }]) => {
      const installed = JSON.parse(readFileSync(join(root, path, 'package.json'), 'utf8')) as { version: string }
      if (installed.version !== version) throw new Error(`${path} is ${installed.version}, not ${version}: run npm ci`)
      return filesUnder(join(root, path))
        .filter((file) => isRun(file))
        .map((file) => appFile(join(root, path, file), join(path, file)))
    })
}

/** Atrium itself: compiled to `dist` before, with what it reads beside its code. */
export function atriumFiles(root: string): readonly TarEntry[] {
  const compiled = filesUnder(join(root, 'dist')).filter((file) => file.endsWith('.js'))
  const beside = ['package.json', 'LICENSE', ...filesUnder(join(root, 'examples'), 'examples')]
  return [
    ...compiled.map((file) => appFile(join(root, 'dist', file), file)),
    ...beside.map((file) => appFile(join(root, file), file)),
  ]
}

function appFile(from: string, to: string): TarEntry {
  return { path: join(IMAGE_PATHS.app, to).slice(1), mode: READ, body: readFileSync(from) }
}

/** Files under a folder, sorted, relative to it, with `prefix` before. Packages within packages are the lock file's. */
function filesUnder(folder: string, prefix = ''): readonly string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)))
    .filter((file) => !file.startsWith('node_modules/') && !file.includes('/node_modules/'))
    .sort()
    .map((file) => join(prefix, file))
}

const IDLE_FOLDERS =
  /^(\.github|\.husky|test|tests|__tests__|doc|docs|example|examples|benchmark|benchmarks|coverage|build\/types)\//
const IDLE_FILES = /(\.(map|md|markdown|flow|yml|yaml|tsbuildinfo)|\.d\.[cm]?ts|\.test\.[cm]?js|\.tgz)$|(^|\/)\.[^/]+$/

/** Whether a file of a package can be asked for at run time; licences stay, whoever asks. */
function isRun(file: string): boolean {
  if (/^(licen[cs]e|notice|copying)/i.test(file)) return true
  return !IDLE_FOLDERS.test(file) && !IDLE_FILES.test(file) && !/\.[cm]?ts$/.test(file)
}

/** Absolute paths of the shared libraries of a program, the loader included, as the loader itself finds them. */
function linkedLibraries(program: string): readonly string[] {
  const found = spawnSync('ldd', [program], { encoding: 'utf8', env: { PATH: process.env['PATH'] ?? '', LC_ALL: 'C' } })
  if (found.status !== 0) throw new Error(`ldd ${program}: ${found.stderr || found.error?.message || 'failed'}`)
  const paths = [...found.stdout.matchAll(/(?:=>\s*)?(\/\S+) \(0x/g)].flatMap(([, path]) => path ?? [])
  // Loaded by name, not linked: how libc resolves hosts.
  const libc = paths.find((path) => /\/libc\.so\.6$/.test(path))
  const named = libc === undefined ? [] : ['libresolv.so.2', 'libnss_dns.so.2', 'libnss_files.so.2']
  const more = named
    .map((name) => join(libc ?? '', '..', name))
    .filter((path) => statSync(path, { throwIfNoEntry: false }))
  return [...new Set([...paths, ...more])].sort()
}

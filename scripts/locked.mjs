// What package-lock.json asks for on this machine, and which Node it brings. Plain JavaScript that any Node from 18 on
// can run, because it runs before anything is installed. Used by install.mjs and run.mjs.
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The folder of the repository. */
export const ROOT = dirname(dirname(fileURLToPath(import.meta.url)))

/** The oldest Node that may start the scripts. */
export const OLDEST_STARTER = 20

/** The oldest Node that runs TypeScript files by itself, as Atrium needs it. */
export const OLDEST_RUNNER = 24

/** Major version of the Node that runs now. */
export const RUNNING_MAJOR = Number(process.versions.node.split('.')[0])

/** Ends the process with one sentence where Node is too old to start anything. */
export function refuseOldNode() {
  if (RUNNING_MAJOR >= OLDEST_STARTER) return
  const found = process.versions.node.split('.').slice(0, 2).join('.')
  console.error(`Node ${found} found; ${OLDEST_STARTER} or newer is needed. https://nodejs.org`)
  process.exit(1)
}

/** The locked package that holds a Node for this machine, whether or not anyone publishes one. */
export function nodePackage() {
  const platform = process.platform === 'win32' ? 'win' : process.platform
  const prefix = process.platform === 'darwin' && process.arch === 'arm64' ? 'node-bin' : 'node'
  return `${prefix}-${platform}-${process.arch}`
}

/** Path of the locked Node, or undefined where it is not installed. */
export function lockedNode() {
  const file = process.platform === 'win32' ? 'node.exe' : 'node'
  const path = join(ROOT, 'node_modules', nodePackage(), 'bin', file)
  return existsSync(path) ? path : undefined
}

/**
 * Packages that the lock file wants here and that are not installed at that version, as `name@version`. Reads the list
 * that npm leaves behind when an installation is complete, so a broken-off one counts as missing.
 */
export function missingPackages(withDevelopment) {
  const installed = readPackages(join(ROOT, 'node_modules', '.package-lock.json'))
  const missing = []
  for (const [path, entry] of wantedHere(withDevelopment)) {
    const found = installed[path]
    const same = found !== undefined && found.version === entry.version && found.integrity === entry.integrity
    if (!same || !existsSync(join(ROOT, path, 'package.json'))) missing.push(`${packageName(path)}@${entry.version}`)
  }
  return missing
}

/** Number of packages that an installation brings here, and how many of their folders exist by now. */
export function installProgress(withDevelopment) {
  const wanted = wantedHere(withDevelopment)
  const present = wanted.filter(([path]) => existsSync(join(ROOT, path, 'package.json'))).length
  return { wanted: wanted.length, present }
}

/**
 * Entries of the lock file that this machine needs. npm takes a failed download of an optional package for success, but
 * those made for this very machine (the locked Node, the compiler's binary) are the point: they count as needed.
 */
function wantedHere(withDevelopment) {
  return Object.entries(readPackages(join(ROOT, 'package-lock.json'))).filter(([path, entry]) => {
    if (path === '' || (entry.dev === true && !withDevelopment) || !fitsHere(entry)) return false
    if (path === `node_modules/${nodePackage()}` && RUNNING_MAJOR >= OLDEST_RUNNER) return false
    return entry.optional !== true || entry.os !== undefined
  })
}

function readPackages(file) {
  try {
    return JSON.parse(readFileSync(file, 'utf8')).packages ?? {}
  } catch {
    return {}
  }
}

function packageName(path) {
  return path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length)
}

function fitsHere(entry) {
  if (!allows(entry.os, process.platform) || !allows(entry.cpu, process.arch)) return false
  return entry.libc === undefined || allows(entry.libc, libc())
}

function allows(list, value) {
  if (list === undefined || value === undefined) return true
  const items = Array.isArray(list) ? list : [list]
  if (items.includes(`!${value}`)) return false
  const positive = items.filter((item) => !item.startsWith('!'))
  return positive.length === 0 || positive.includes(value)
}

/** Asked once: the report costs milliseconds, and a dozen packages are made for one C library. */
let knownLibc

function libc() {
  if (process.platform !== 'linux') return undefined
  knownLibc ??= readLibc()
  return knownLibc
}

function readLibc() {
  // The report would otherwise look up names on the network, which takes seconds where there is none.
  process.report.excludeNetwork = true
  return process.report.getReport().header.glibcVersionRuntime === undefined ? 'musl' : 'glibc'
}

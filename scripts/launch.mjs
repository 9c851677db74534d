// Starts a file on the right Node and stands in for it: same terminal, same signals, same exit code. Plain JavaScript.
// Used by run.mjs and atrium.mjs.
import { spawn } from 'node:child_process'
import { constants } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { lockedNode, nodePackage, OLDEST_RUNNER, refuseOldNode, ROOT, RUNNING_MAJOR } from './locked.mjs'

const PARENT_LOOK_MS = 250
const FORWARDED = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGUSR2']

/** Runs `file` with `args` on the locked Node, or on the running one if that is new enough. Ends this process with it. */
export function run(file, args) {
  refuseOldNode()
  const locked = lockedNode()
  if (locked === undefined && RUNNING_MAJOR < OLDEST_RUNNER) explainMissing()
  start(locked ?? process.execPath, file, args, locked !== undefined && RUNNING_MAJOR >= OLDEST_RUNNER)
}

function start(node, file, args, mayFallBack) {
  const child = spawn(node, [file, ...args], { stdio: 'inherit', env: environment(node) })
  // A terminal sends Ctrl-C to the child as well; listening here only keeps this process alive until the child is done.
  for (const signal of FORWARDED) {
    process.on(signal, () => {
      if (signal === 'SIGINT' && process.stdin.isTTY === true) return
      child.kill(signal)
    })
  }
  followParent(child)
  child.on('error', (error) => {
    if (mayFallBack) start(process.execPath, file, args, false)
    else {
      console.error(`Node could not be started: ${error.message}`)
      explainMissing()
    }
  })
  child.on('exit', (code, signal) => {
    process.exit(code ?? 128 + (constants.signals[signal] ?? 0))
  })
}

/**
 * npm passes a signal on to the shell that it started us with, and the shell dies without a word. So under npm, a parent
 * that is gone means: end in order.
 */
function followParent(child) {
  if (process.env.npm_command === undefined) return
  const parent = process.ppid
  const timer = setInterval(() => {
    if (process.ppid === parent) return
    clearInterval(timer)
    child.kill('SIGTERM')
  }, PARENT_LOOK_MS)
  timer.unref()
}

function environment(node) {
  const path = [dirname(node), join(ROOT, 'node_modules', '.bin'), process.env.PATH].filter(Boolean).join(delimiter)
  const cache = process.env.NODE_COMPILE_CACHE ?? join(ROOT, 'node_modules', '.cache', 'compile')
  return { ...process.env, PATH: path, NODE_COMPILE_CACHE: cache }
}

function explainMissing() {
  console.error(
    `Atrium runs on Node ${OLDEST_RUNNER} or newer. This is ${process.versions.node}, and the locked one (${nodePackage()}) is not installed.\n` +
      'Run `npm ci` here, or install a newer Node. On Alpine the locked one does not run: use its own package nodejs-current.',
  )
  process.exit(1)
}

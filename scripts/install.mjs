// Before `npm start` and `npm test`: installs what is locked if it is not there yet, with a line of progress each second.
// Plain JavaScript for any Node from 18 on. Does nothing, quickly, where everything is in place.
import { spawn, spawnSync } from 'node:child_process'
import {
  installProgress,
  lockedNode,
  missingPackages,
  nodePackage,
  OLDEST_RUNNER,
  refuseOldNode,
  ROOT,
  RUNNING_MAJOR,
} from './locked.mjs'

refuseOldNode()

const forTests = process.env.npm_lifecycle_event === 'pretest'
const withDevelopment = forTests || process.env.NODE_ENV !== 'production'
const again = forTests ? 'npm test' : 'npm start'

if (missingPackages(withDevelopment).length > 0) install()

function install() {
  const started = Date.now()
  const child = npm(
    ['ci', '--ignore-scripts', '--engine-strict=false', '--loglevel=error', '--progress=false', include()],
    {
      stdio: ['ignore', 'ignore', 'pipe'],
    },
  )
  let complaints = ''
  child.stderr.setEncoding('utf8').on('data', (text) => {
    complaints += text
  })
  const say = () => {
    const { wanted, present } = installProgress(withDevelopment)
    const seconds = Math.round((Date.now() - started) / 1000)
    const line = `Installing what is locked: ${present} of ${wanted} packages, ${seconds} s`
    process.stdout.write(process.stdout.isTTY === true ? `\r\u001b[K${line}` : `${line}\n`)
  }
  console.log('Installing what is locked, once. Most of it is the Node that Atrium runs on.')
  const timer = setInterval(say, 1000)
  child.on('error', (error) => fail(error.message))
  child.on('close', (code) => {
    clearInterval(timer)
    const missing = missingPackages(withDevelopment)
    if (code !== 0 || missing.length > 0) fail(complaints, missing)
    say()
    if (process.stdout.isTTY === true) process.stdout.write('\n')
  })
}

/** Where the person's own settings leave development packages out, `npm test` asks for them, and `npm start` does not. */
function include() {
  return withDevelopment ? '--include=dev' : '--omit=dev'
}

function npm(args, options) {
  const script = process.env.npm_execpath
  if (script !== undefined && /\.c?js$/.test(script)) {
    return spawn(process.execPath, [script, ...args], { cwd: ROOT, ...options })
  }
  return spawn('npm', args, { cwd: ROOT, shell: process.platform === 'win32', ...options })
}

function fail(complaints, missing = []) {
  const failed = /(?:request to|GET|fetch) (https?:\/\/\S+)/.exec(complaints)
  const code = /npm error code (\S+)/.exec(complaints)
  const lines = ['', 'The locked packages could not be installed.']
  const name = failed ? packageOf(failed[1]) : missing.length > 0 ? missing[0] : undefined
  if (name !== undefined) lines.push(`  package   ${name}${code ? `  (${code[1]})` : ''}`)
  lines.push(`  registry  ${registry()}`)
  if (lockedNode() === undefined && RUNNING_MAJOR < OLDEST_RUNNER) {
    lines.push(
      `  note      ${nodePackage()} brings the Node that Atrium runs on; Node ${OLDEST_RUNNER} of your own does as well`,
    )
  }
  lines.push(`  next      check the network and \`npm config get registry\`; ${again} again is safe`)
  const said = complaints
    .trim()
    .split('\n')
    .filter((line) => line !== '' && !/^npm error\s+at /.test(line))
    .slice(0, 8)
  if (said.length > 0) lines.push('', 'npm said:', ...said.map((line) => `  ${line}`))
  console.error(lines.join('\n'))
  process.exit(1)
}

/** The package that a registry address is about: its first path segments, scope included, without the archive's name. */
function packageOf(address) {
  const path = decodeURIComponent(new URL(address).pathname)
  const name = path.split('/-/')[0].split('/').filter(Boolean)
  const scope = name.findIndex((part) => part.startsWith('@'))
  return scope === -1 ? name.at(-1) : name.slice(scope, scope + 2).join('/')
}

function registry() {
  const script = process.env.npm_execpath
  const direct = script !== undefined && /\.c?js$/.test(script)
  const [command, args] = direct ? [process.execPath, [script]] : ['npm', []]
  const answer = spawnSync(command, [...args, 'config', 'get', 'registry'], {
    cwd: ROOT,
    encoding: 'utf8',
    shell: !direct && process.platform === 'win32',
  })
  return answer.status === 0 ? answer.stdout.trim() : 'unknown'
}

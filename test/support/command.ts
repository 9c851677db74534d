// Runs the real command as a person would: its own process, pipes instead of a terminal.
import { spawn, type ChildProcess } from 'node:child_process'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'

const ROOT = join(import.meta.dirname, '..', '..')
const ENTRY = join(ROOT, 'bin', 'atrium.ts')
/** As scripts/launch.mjs does: the second start need not compile anything. */
const CACHE = { NODE_COMPILE_CACHE: join(ROOT, 'node_modules', '.cache', 'compile') }

/** What a finished command left. */
export interface Finished {
  readonly code: number | null
  readonly out: string
  readonly err: string
}

/** A command that may still run. */
export interface Running {
  readonly child: ChildProcess
  readonly finished: Promise<Finished>
  /** Resolves when a line of stdout or stderr holds the text; rejects where the command ends before. */
  said(text: string): Promise<string>
}

/** Starts `atrium ARGS`. Colours and twins of the surrounding environment are left out. */
export function startAtrium(args: readonly string[], env: NodeJS.ProcessEnv = {}): Running {
  const plain = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^(ATRIUM_|NO_COLOR|FORCE_COLOR)/.test(name)),
  )
  const child = spawn(process.execPath, [ENTRY, ...args], {
    env: { ...plain, ...CACHE, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let out = ''
  let err = ''
  const waiting = new Set<() => void>()
  const heard = () => {
    for (const look of waiting) look()
  }
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    out += text
    heard()
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    err += text
    heard()
  })
  const finished = new Promise<Finished>((resolve) => {
    child.on('close', (code) => resolve({ code, out, err }))
  })
  return {
    child,
    finished,
    said: (text) =>
      new Promise((resolve, reject) => {
        const look = () => {
          const line = `${out}\n${err}`.split('\n').find((each) => each.includes(text))
          if (line === undefined) return
          waiting.delete(look)
          resolve(line)
        }
        waiting.add(look)
        void finished.then(() => reject(new Error(`ended without saying ${text}:\n${out}\n${err}`)))
        look()
      }),
  }
}

/** Runs `atrium ARGS` to its end. */
export function atrium(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Finished> {
  return startAtrium(args, env).finished
}

/** A new folder with these files; `remove` takes it away. */
export async function folderOf(
  files: Readonly<Record<string, string>>,
): Promise<{ path: string; remove(): Promise<void> }> {
  const path = await mkdtemp(join(tmpdir(), 'atrium-command-'))
  for (const [name, text] of Object.entries(files)) {
    await mkdir(dirname(join(path, name)), { recursive: true })
    await writeFile(join(path, name), text)
  }
  return { path, remove: () => rm(path, { recursive: true, force: true }) }
}

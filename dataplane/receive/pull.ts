// A pod that comes to the controllers by itself: for the first set, which any replica gives, and now and then to say that
// it is there and what it has, so that a push that went astray is made up for.
import {
  comparePositions,
  NOTHING,
  PUSH_LIMITS,
  PUSH_PATHS,
  type PositionAnswer,
  readManifest,
  readPositionAnswer,
} from '../../model/push.ts'
import type { PeerCredentials } from '../../peer/identify.ts'
import { BadLines, readJsonLines } from '../../peer/lines.ts'
import type { Controllers } from './controllers.ts'
import type { Staging } from './staging.ts'

export interface PullerOptions {
  readonly controllers: Controllers
  readonly staging: Staging
  readonly credentials: () => PeerCredentials
  /** Name of this Pod. */
  readonly name: string
  /** On which this pod listens for controllers. */
  readonly port: () => number
  /** Formats that are read. */
  readonly formats: readonly number[]
  /** A number from 0 to 1. */
  readonly random: () => number
  /** One sentence, when something does not work. */
  readonly warn: (message: string) => void
}

/** Milliseconds. */
const PULL = { timeout: 240_000, idle: 20_000 }
const ASK = { timeout: 10_000, idle: 10_000 }
const FIRST_WAIT = 250
const LONGEST_WAIT = 3_000
const BETWEEN = 30_000
/** For a push to begin. */
const GRACE = 2_000
const LOOK = 50
const SLICE = 8

/** See the head of this file. */
export class Puller {
  readonly #options: PullerOptions
  #timer: NodeJS.Timeout | undefined
  #wake: () => void = () => {}
  #stopped = false
  #behind = false

  constructor(options: PullerOptions) {
    this.#options = options
  }

  /** Runs until `stop`: at once, fast while there is no set, slowly afterwards. */
  async run(): Promise<void> {
    for (let failures = 0; !this.#stopped; ) {
      const answers = await this.#tell()
      // The leader heard it, and pushes: asking for the same would send it twice.
      const leader = answers.some(({ leads, newest }) => leads && newest !== null)
      if (this.#hasNothing() && leader) await this.#awaitPush()
      if (this.#hasNothing() || this.#isLeftBehind(answers)) failures = (await this.#pull()) ? 0 : failures + 1
      const wait = this.#hasNothing() ? Math.min(LONGEST_WAIT, FIRST_WAIT * 2 ** Math.min(failures, 10)) : BETWEEN
      await this.#pause(wait * (0.5 + this.#options.random() / 2))
    }
  }

  stop(): void {
    this.#stopped = true
    clearTimeout(this.#timer)
    this.#wake()
  }

  #hasNothing(): boolean {
    return this.#options.staging.active === NOTHING
  }

  /** Resolves when a push has come through, or does not come, or does not go on. */
  async #awaitPush(): Promise<void> {
    const until = performance.now() + GRACE
    while (this.#hasNothing() && !this.#stopped && (performance.now() < until || this.#options.staging.isBusy)) {
      await this.#pause(LOOK)
    }
  }

  /** The leader pushes; only where two looks in a row find a pod behind is something wrong with that. */
  #isLeftBehind(answers: readonly PositionAnswer[]): boolean {
    const { active } = this.#options.staging
    const behind = answers.some(
      ({ newest, leads }) =>
        leads && newest !== null && newest.root !== active.root && comparePositions(newest, active) > 0,
    )
    const twice = behind && this.#behind
    this.#behind = behind
    return twice
  }

  async #tell(): Promise<readonly PositionAnswer[]> {
    const { controllers, credentials, name, staging, port } = this.#options
    const content = JSON.stringify({ active: staging.active, name, port: port() })
    const body = { type: 'application/json', content }
    return await controllers.askAll(credentials(), async (caller) => {
      const call = { method: 'POST', path: PUSH_PATHS.position, body, maxAnswer: PUSH_LIMITS.order } as const
      const read = readPositionAnswer(await caller.json({ ...call, ...ASK }))
      if (typeof read === 'string') throw new Error(read)
      return read.value
    })
  }

  /** Whether there is a set now. */
  async #pull(): Promise<boolean> {
    const { controllers, credentials, formats, name, warn } = this.#options
    const path = `${PUSH_PATHS.pull}?name=${encodeURIComponent(name)}&formats=${formats.join(',')}`
    try {
      await controllers.ask(credentials(), (caller) =>
        caller.stream({ method: 'GET', path, maxAnswer: PUSH_LIMITS.content, ...PULL }, (stream) =>
          this.#take(readJsonLines(stream, { line: PUSH_LIMITS.line, total: PUSH_LIMITS.content })),
        ),
      )
      return true
    } catch (error) {
      if (this.#stopped || !this.#hasNothing()) return !this.#hasNothing()
      warn(`no snapshot could be had: ${error instanceof Error ? error.message : String(error)}`)
      return false
    }
  }

  /** The first line is the manifest, the others are content. */
  async #take(lines: AsyncGenerator<{ readonly text: string; readonly value: unknown }>): Promise<void> {
    const { staging } = this.#options
    const first = await lines.next()
    const read = first.done === true ? 'nothing came' : readManifest(first.value.value)
    if (typeof read === 'string') throw new BadLines(read)
    const manifest = read.value
    const { refused } = await staging.propose(manifest)
    if (refused !== null) throw new Error(refused.message)
    let from = performance.now()
    for await (const line of lines) {
      staging.accept(manifest, line)
      if (performance.now() - from < SLICE) continue
      await new Promise((resolve) => setImmediate(resolve))
      from = performance.now()
    }
    await staging.activate(manifest, manifest.root)
  }

  async #pause(milliseconds: number): Promise<void> {
    if (this.#stopped) return
    await new Promise<void>((resolve) => {
      this.#wake = resolve
      this.#timer = setTimeout(resolve, milliseconds)
      this.#timer.unref()
    })
  }
}

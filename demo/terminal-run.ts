// The demo on a terminal: draws the picture once a second and after every key, and gives the terminal back at the end.
import { EXIT_CODES } from '../bin/exit.ts'
import { wrapBehind } from '../bin/output/width.ts'
import type { Terminal } from '../bin/terminal.ts'
import { Canvas } from './draw.ts'
import { scheduleNoise } from './endings.ts'
import { isolationText } from './isolation.ts'
import { onKeys } from './keyboard.ts'
import { machineNote } from './machine.ts'
import { SAMPLE_HOST, SAMPLE_PATH } from './plan.ts'
import type { DemoRun } from './run.ts'
import { COMMAND_MARK, type Picture, pictureLines } from './screen.ts'
import { type DemoEvent, DemoSession } from './session.ts'

const KEPT_EVENTS = 30

/** Runs until the end; the exit code. */
export async function runScreen(run: DemoRun, terminal: Terminal): Promise<number> {
  const { ending } = run
  const face = new Face(run, terminal, ending.stop)
  face.open()
  ending.startClock(run.forMs)
  const stopNoise = run.noisy ? scheduleNoise(run.forMs ?? 0, () => face.key('n')) : () => undefined
  const code = await ending.ended
  stopNoise()
  return face.close(code, run.noisy)
}

class Face {
  readonly #run: DemoRun
  readonly #terminal: Terminal
  readonly #stop: (code: number) => void
  readonly #session: DemoSession
  readonly #canvas = new Canvas(process.stdout)
  #events: Picture['events'] = []
  #page: Picture['page'] = 'table'
  #releaseKeys: () => void = () => undefined
  readonly #resized = () => {
    this.#canvas.forget()
    this.#draw()
  }

  constructor(run: DemoRun, terminal: Terminal, stop: (code: number) => void) {
    this.#run = run
    this.#terminal = terminal
    this.#stop = stop
    this.#session = new DemoSession({
      ...run.session,
      onEvent: (event) => this.#remember(event),
      onChange: () => this.#draw(),
    })
  }

  open(): void {
    this.#canvas.open()
    this.#releaseKeys = onKeys(process.stdin, (key) => this.key(key))
    process.stdout.on('resize', this.#resized)
    this.#session.start()
    this.#draw()
  }

  /** Gives the terminal back, says what it came to, and returns the exit code. */
  close(code: number, judged: boolean): number {
    const isolation = this.#session.isolation()
    const seconds = this.#session.noisySeconds
    this.#session.stop()
    this.#releaseKeys()
    process.stdout.off('resize', this.#resized)
    this.#canvas.close()
    if (isolation !== undefined) {
      const tell = (label: string, text: string) => {
        for (const line of wrapBehind(label, text, this.#terminal.columns)) this.#terminal.print(line)
      }
      tell('Isolation   ', `${isolationText(isolation)}, over ${seconds} s`)
      const note = machineNote()
      if (note !== '') tell('Note        ', note)
    }
    if (code !== EXIT_CODES.done || !judged) return code
    return isolation?.verdict === 'held' ? EXIT_CODES.done : EXIT_CODES.no
  }

  key(key: string): void {
    if (key === '\u0003') this.#stop(EXIT_CODES.interrupted)
    else if (typeof this.#page === 'object' && 'prompt' in this.#page) this.#type(this.#page.prompt, key)
    else if (this.#page !== 'table') this.#page = 'table'
    else this.#act(key)
    this.#draw()
  }

  #act(key: string): void {
    if (key === 'q') this.#stop(EXIT_CODES.done)
    else if (key === 'n') this.#session.toggleNoise()
    else if (key === 'b') this.#quietly(this.#session.toggleBackend())
    else if (key === 'x') this.#quietly(this.#session.toggleBadConfig())
    else if (key === 'h' || key === '?') this.#page = 'help'
    else if (key === 'e') this.#page = { prompt: `http://${SAMPLE_HOST}:${this.#run.gateway.ports.http}${SAMPLE_PATH}` }
  }

  #type(prompt: string, key: string): void {
    if (key === '\r' || key === '\n') {
      this.#page = { answer: ['asking …'] }
      this.#quietly(
        this.#session.explain(prompt.trim()).then((answer) => {
          this.#page = { answer }
        }),
      )
    } else if (key === '\u001b') this.#page = 'table'
    else if (key === '\u007f' || key === '\b') this.#page = { prompt: prompt.slice(0, -1) }
    else if (key === '\u0015') this.#page = { prompt: '' }
    else if (/^[ -~]+$/.test(key)) this.#page = { prompt: prompt + key }
  }

  /** An action that fails says so on the screen; the demo goes on. */
  #quietly(action: Promise<void>): void {
    action
      .catch((error: unknown) => {
        this.#events = [...this.#events, ['          ', error instanceof Error ? error.message : String(error)]]
      })
      .finally(() => this.#draw())
  }

  #remember(event: DemoEvent): void {
    const time = event.at.toTimeString().slice(0, 8)
    const told: Picture['events'] = [
      [`${time}  `, event.text],
      ...(event.command === undefined ? [] : [[`          ${COMMAND_MARK}`, event.command] as const]),
    ]
    this.#events = [...this.#events, ...told].slice(-KEPT_EVENTS)
    this.#draw()
  }

  #draw(): void {
    const { gateway, version, readySeconds, folder } = this.#run
    const isolation = this.#session.isolation()
    const remarks = new Map(
      isolation === undefined || !this.#session.noisy
        ? []
        : isolation.victims.flatMap(({ tenant, ratio }): [string, string][] =>
            ratio === undefined ? [] : [[tenant, `p99 ${ratio.toFixed(2)}x`]],
          ),
    )
    const picture: Picture = {
      version,
      readySeconds,
      addresses: gateway.ports,
      folder,
      rows: this.#session.rows,
      remarks,
      snapshot: gateway.version().slice(0, 6),
      changeMs: gateway.changeMs(),
      workers: `${gateway.workers.ready} of ${gateway.workers.all} workers`,
      isolation: isolation === undefined ? '' : `${isolationText(isolation)}, over ${this.#session.noisySeconds} s`,
      events: this.#events,
      page: this.#page,
    }
    const size = { columns: process.stdout.columns, rows: process.stdout.rows }
    this.#canvas.draw(pictureLines(picture, size, this.#terminal.paint))
  }
}

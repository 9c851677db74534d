// The demo without a terminal, and as a smoke test: the banner once, then JSON lines; `--for 30s --noisy` is judged by
// the isolation line.
import { EXIT_CODES } from '../bin/exit.ts'
import type { Terminal } from '../bin/terminal.ts'
import { scheduleNoise } from './endings.ts'
import { eventLine, resultLine, statusLine } from './json-lines.ts'
import type { DemoRun } from './run.ts'
import { machineNote } from './machine.ts'
import { bannerLines } from './screen.ts'
import { DemoSession } from './session.ts'

const STATUS_EVERY_MS = 10_000
const PLAIN = (_style: string, text: string) => text

/** Runs until the end; the exit code. */
export async function runPlain(run: DemoRun, terminal: Terminal): Promise<number> {
  const { ending } = run
  const addresses = run.gateway.ports
  for (const line of bannerLines({ ...run, addresses, rows: [] }, terminal.columns, PLAIN)) terminal.print(line)
  terminal.print('')
  const session = new DemoSession({
    ...run.session,
    onEvent: (event) => terminal.print(eventLine(event)),
    onChange: () => undefined,
  })
  session.start()
  ending.startClock(run.forMs)
  const status = setInterval(
    () => terminal.print(statusLine(new Date(), session.rows, session.isolation())),
    STATUS_EVERY_MS,
  )
  const stopNoise = run.noisy ? scheduleNoise(run.forMs ?? 0, () => session.toggleNoise()) : () => undefined
  const code = await ending.ended
  clearInterval(status)
  stopNoise()
  const isolation = session.isolation()
  session.stop()
  terminal.print(resultLine(new Date(), isolation, session.noisySeconds, machineNote()))
  if (code !== EXIT_CODES.done || !run.noisy) return code
  return isolation?.verdict === 'held' ? EXIT_CODES.done : EXIT_CODES.no
}

// Several candidates against one server, on a virtual clock, with pauses, clocks that run wrong, and lost messages.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  afterRead,
  afterWrite,
  type CandidateState,
  fenceAt,
  heardOf,
  type LeaseRecord,
  type LeaseTimes,
  type LeaseWrite,
  needsRead,
  newCandidate,
  nextWrite,
  releaseWrite,
  type WriteOutcome,
} from './decision.ts'

const TIMES: LeaseTimes = { durationMs: 15_000, renewMs: 10_000, retryMs: 2_000 }

/** The one thing that is sure: it answers in order and compares resourceVersions. */
class Server {
  record: LeaseRecord | null = null
  version = 0

  write({ record, resourceVersion }: LeaseWrite): { stored: string } | 'conflict' {
    const expected = this.record === null ? undefined : String(this.version)
    if (resourceVersion !== expected) return 'conflict'
    this.record = record
    this.version += 1
    return { stored: String(this.version) }
  }
}

/** One step of one candidate: it sends, its message arrives, or it hears the answer. Others may act in between. */
interface Step {
  readonly who: number
  /** Real milliseconds before it. */
  readonly wait: number
  readonly lost: boolean
  readonly act: 'go on' | 'release' | 'hear of a fence'
}

/** What a candidate waits for. */
type Flight =
  | { readonly kind: 'idle' }
  | { readonly kind: 'read'; readonly answer: { record: LeaseRecord | null; version: string } | undefined }
  | { readonly kind: 'sent'; readonly write: LeaseWrite; readonly sentAt: number }
  | { readonly kind: 'arrived'; readonly write: LeaseWrite; readonly sentAt: number; readonly outcome: WriteOutcome }

const step: fc.Arbitrary<Step> = fc.record({
  who: fc.nat(2),
  wait: fc.oneof({ weight: 8, arbitrary: fc.nat(2_000) }, { weight: 1, arbitrary: fc.nat(40_000) }),
  lost: fc.oneof({ weight: 8, arbitrary: fc.constant(false) }, { weight: 1, arbitrary: fc.constant(true) }),
  act: fc.oneof(
    { weight: 20, arbitrary: fc.constant('go on' as const) },
    { weight: 1, arbitrary: fc.constantFrom('release' as const, 'hear of a fence' as const) },
  ),
})

class Simulated {
  state: CandidateState
  flight: Flight = { kind: 'idle' }
  readonly #server: Server

  constructor(name: string, server: Server) {
    this.state = newCandidate(name)
    this.#server = server
  }

  go(now: number, lost: boolean): void {
    const { flight } = this
    this.flight = { kind: 'idle' }
    if (flight.kind === 'idle') {
      if (needsRead(this.state, now)) {
        const answer = { record: this.#server.record, version: String(this.#server.version) }
        this.flight = { kind: 'read', answer: lost ? undefined : answer }
      } else this.#send(now)
    } else if (flight.kind === 'read') {
      if (flight.answer === undefined) return
      this.state = afterRead(this.state, flight.answer.record, flight.answer.version, now)
      this.#send(now)
    } else if (flight.kind === 'sent') {
      this.flight = { ...flight, kind: 'arrived', outcome: lost ? 'unknown' : this.#server.write(flight.write) }
    } else {
      this.state = afterWrite(this.state, flight.write, lost ? 'unknown' : flight.outcome, flight.sentAt, TIMES)
    }
  }

  release(): void {
    if (this.flight.kind !== 'idle') return
    const write = releaseWrite(this.state)
    // Whoever releases acts no more, before anything is sent.
    this.state = { ...this.state, term: undefined, mustRead: true }
    if (write !== undefined) this.#server.write(write)
  }

  #send(now: number): void {
    const write = nextWrite(this.state, now, TIMES)
    if (write !== undefined) this.flight = { kind: 'sent', write, sentAt: now }
  }
}

describe('several candidates', () => {
  test('never two at once, never a fence twice, and each term above all before it', () => {
    const clock = fc.record({ offset: fc.nat(1_000_000), rate: fc.double({ min: 0.9, max: 1.1, noNaN: true }) })
    let terms = 0
    fc.assert(
      fc.property(
        fc.array(clock, { minLength: 3, maxLength: 3 }),
        fc.array(step, { maxLength: 200, size: 'max' }),
        (clocks, steps) => {
          const server = new Server()
          const candidates = clocks.map(({ offset, rate }, index) => {
            return { candidate: new Simulated(`c${index}`, server), now: (real: number) => offset + real * rate }
          })
          const owner = new Map<number, number>()
          let real = 0
          let newest = 0
          for (const { who, wait, lost, act } of steps) {
            real += wait
            const chosen = candidates[who]
            if (chosen === undefined) continue
            if (act === 'release') chosen.candidate.release()
            else if (act === 'hear of a fence') chosen.candidate.state = heardOf(chosen.candidate.state, newest)
            else chosen.candidate.go(chosen.now(real), lost)
            const leading = candidates.flatMap(({ candidate, now }, index) => {
              const fence = fenceAt(candidate.state, now(real))
              return fence === undefined ? [] : [{ index, fence }]
            })
            expect(leading.length).toBeLessThanOrEqual(1)
            for (const { index, fence } of leading) {
              expect(owner.get(fence) ?? index).toBe(index)
              expect(fence).toBeGreaterThanOrEqual(newest)
              owner.set(fence, index)
              newest = fence
            }
          }
          terms += owner.size
        },
      ),
      { numRuns: 2_000 },
    )
    // The histories are no empty ones.
    expect(terms).toBeGreaterThan(4_000)
  })

  test('somebody leads again soon after a leader vanishes', () => {
    fc.assert(
      fc.property(fc.nat(14_000), (phase) => {
        const server = new Server()
        let a = newCandidate('a')
        let b = newCandidate('b')
        const cycle = (state: CandidateState, now: number): CandidateState => {
          const read = needsRead(state, now) ? afterRead(state, server.record, String(server.version), now) : state
          const write = nextWrite(read, now, TIMES)
          return write === undefined ? read : afterWrite(read, write, server.write(write), now, TIMES)
        }
        for (let now = 0; now < phase; now += 2_000) {
          a = cycle(a, now)
          b = cycle(b, now + 1)
        }
        a = cycle(a, phase)
        let now = phase
        while (fenceAt(b, now) === undefined) {
          b = cycle(b, now)
          now += 2_000
          expect(now - phase).toBeLessThanOrEqual(TIMES.durationMs + 3 * TIMES.retryMs)
        }
        expect(fenceAt(a, now)).toBeUndefined()
        expect(fenceAt(b, now)).toBeGreaterThan(1)
      }),
    )
  })
})

describe('one candidate', () => {
  const led = (): { server: Server; state: CandidateState } => {
    const server = new Server()
    let state = afterRead(newCandidate('me'), null, '', 0)
    const write = nextWrite(state, 0, TIMES)
    if (write === undefined) throw new Error('a free lease was not taken')
    state = afterWrite(state, write, server.write(write), 0, TIMES)
    return { server, state }
  }

  test('a renewal keeps the fence, reading makes no term longer', () => {
    const { state, server } = led()
    expect(fenceAt(state, 9_999)).toBe(1)
    expect(fenceAt(state, 10_000)).toBeUndefined()
    const read = afterRead(state, server.record, '1', 9_000)
    expect(fenceAt(read, 10_000)).toBeUndefined()
    const write = nextWrite(read, 9_000, TIMES)
    expect(write?.record.transitions).toBe(1)
  })

  test('after its time it takes its own lease back with a new fence', () => {
    const { state, server } = led()
    const read = afterRead(state, server.record, '1', 20_000)
    expect(nextWrite(read, 20_000, TIMES)?.record.transitions).toBe(2)
  })

  test('a lease made anew goes on above what pods have seen, and above what it remembers', () => {
    const { state } = led()
    const heard = heardOf(state, 41)
    const write = nextWrite(heard, 1_000, TIMES)
    expect(write?.record.transitions).toBe(42)
    const gone = afterRead(heard, null, '', 2_000)
    expect(fenceAt(gone, 2_000)).toBeUndefined()
    expect(nextWrite(gone, 2_000, TIMES)).toMatchObject({ record: { transitions: 42 }, resourceVersion: undefined })
  })

  test.each([Number.NaN, -1, 1.5, 2 ** 31, Number.POSITIVE_INFINITY])('a fence of %d is not believed', (fence) => {
    const { state } = led()
    expect(heardOf(state, fence)).toBe(state)
  })
})

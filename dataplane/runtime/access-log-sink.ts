// The one place of the process where access lines are written: to stdout or to a file, in the order in which batches
// came, one write in flight. The main thread owns it. A reader that is slow or a disk that is full costs lines, which
// are counted, never memory beyond the bound and never a request.
import fs from 'node:fs'

/** The part of node:fs that the sink uses; tests hand in their own. */
export interface SinkFiles {
  open(path: string, done: (error: NodeJS.ErrnoException | null, descriptor: number) => void): void
  write(
    descriptor: number,
    bytes: Uint8Array,
    done: (error: NodeJS.ErrnoException | null, written: number) => void,
  ): void
  close(descriptor: number): void
  /** Identity of what is at `path` now, and of what is open: they differ after a rotation. '' where nothing is there. */
  identity(at: string | number): string
}

/** Writes batches of whole lines. */
export interface AccessLogSink {
  /** Takes a batch; `done` is called once its bytes need no memory any more, written or dropped. */
  write(batch: Uint8Array, lines: number, done: () => void): void
  /** Opens the file anew (SIGHUP, or after a rotation). Nothing for stdout. */
  reopen(): void
  /** Resolves when everything is written, or after `milliseconds`; what is left then is dropped and counted. */
  flush(milliseconds: number): Promise<void>
  /** Stops the timers and closes the file. */
  close(): void
  /** Lines lost since the start. */
  readonly dropped: number
  /** The last trouble in words, '' where there is none now. */
  readonly problem: string
}

/** Wait before a write that failed is tried again. Milliseconds. */
const RETRY = 100
const ROTATION_CHECK = 1_000

interface Batch {
  readonly bytes: Uint8Array
  readonly lines: number
  readonly done: () => void
}

/**
 * A sink.
 * @param target `stdout`, or the path of a file that is appended to and made where it is missing.
 * @param limit bytes that may wait.
 */
export function createAccessLogSink(options: {
  readonly target: 'stdout' | { readonly file: string }
  readonly limit?: number
  readonly files?: SinkFiles
  readonly retry?: number
  /** Told when writing starts to fail, and with '' when it works again. */
  readonly onProblem?: (problem: string) => void
}): AccessLogSink {
  return new Sink(
    options.target === 'stdout' ? undefined : options.target.file,
    options.limit ?? 16_777_216,
    options.files ?? FILES,
    options.retry ?? RETRY,
    options.onProblem ?? (() => {}),
  )
}

class Sink implements AccessLogSink {
  dropped = 0
  problem = ''
  readonly #path: string | undefined
  readonly #limit: number
  readonly #files: SinkFiles
  readonly #retry: number
  readonly #onProblem: (problem: string) => void
  readonly #queue: Batch[] = []
  #waiting = 0
  /** Bytes of the first batch that are out. What has begun is finished, or a line would be cut in two. */
  #written = 0
  #busy = false
  #descriptor: number | undefined
  #reopen = false
  #closed = false
  #retryTimer: NodeJS.Timeout | undefined
  readonly #rotationTimer: NodeJS.Timeout | undefined
  #idle: (() => void)[] = []

  constructor(
    path: string | undefined,
    limit: number,
    files: SinkFiles,
    retry: number,
    onProblem: (problem: string) => void,
  ) {
    this.#path = path
    this.#limit = limit
    this.#files = files
    this.#retry = retry
    this.#onProblem = onProblem
    if (path === undefined) this.#descriptor = 1
    else this.#rotationTimer = setInterval(() => this.#checkRotation(), ROTATION_CHECK).unref()
  }

  write(batch: Uint8Array, lines: number, done: () => void): void {
    if (this.#closed || this.#waiting + batch.byteLength > this.#limit) {
      this.dropped += lines
      done()
      return
    }
    this.#queue.push({ bytes: batch, lines, done })
    this.#waiting += batch.byteLength
    this.#next()
  }

  reopen(): void {
    if (this.#path === undefined) return
    this.#reopen = true
    this.#next()
  }

  async flush(milliseconds: number): Promise<void> {
    if (this.#queue.length === 0 && !this.#busy) return
    let timer: NodeJS.Timeout | undefined
    await Promise.race([
      new Promise<void>((resolve) => this.#idle.push(resolve)),
      new Promise<void>((resolve) => {
        timer = setTimeout(resolve, milliseconds)
      }),
    ])
    clearTimeout(timer)
    while (this.#queue.length > 0) this.#drop()
  }

  close(): void {
    this.#closed = true
    clearTimeout(this.#retryTimer)
    clearInterval(this.#rotationTimer)
    while (this.#queue.length > 0) this.#drop()
    if (this.#path !== undefined && this.#descriptor !== undefined && !this.#busy) {
      this.#files.close(this.#descriptor)
      this.#descriptor = undefined
    }
  }

  #next(): void {
    if (this.#busy || this.#closed || this.#retryTimer !== undefined) return
    // A new file begins between two batches, never inside one.
    if (this.#path !== undefined && (this.#descriptor === undefined || (this.#reopen && this.#written === 0))) {
      this.#open(this.#path)
      return
    }
    const [first] = this.#queue
    if (first === undefined || this.#descriptor === undefined) {
      for (const tell of this.#idle.splice(0)) tell()
      return
    }
    this.#busy = true
    this.#files.write(this.#descriptor, first.bytes.subarray(this.#written), (error, written) => {
      this.#busy = false
      if (error !== null) {
        this.#fail(error)
        return
      }
      this.#tell('')
      this.#written += written
      // The batch may have been dropped by flush or close meanwhile.
      if (this.#queue[0] === first && this.#written >= first.bytes.byteLength) this.#finish()
      this.#next()
    })
  }

  #open(path: string): void {
    this.#busy = true
    this.#files.open(path, (error, descriptor) => {
      this.#busy = false
      if (error !== null) {
        // The file that is open, if any, goes on serving.
        this.#reopen = false
        this.#fail(error)
        return
      }
      if (this.#descriptor !== undefined) this.#files.close(this.#descriptor)
      this.#descriptor = descriptor
      this.#reopen = false
      if (this.#closed) {
        this.#files.close(descriptor)
        this.#descriptor = undefined
      }
      this.#next()
    })
  }

  #fail(error: NodeJS.ErrnoException): void {
    // A pipe that is full is a slow reader, not a fault.
    if (error.code !== 'EAGAIN') this.#tell(`access log: ${error.code ?? error.message}`)
    if (this.#closed) return
    this.#retryTimer = setTimeout(() => {
      this.#retryTimer = undefined
      this.#next()
    }, this.#retry)
  }

  #finish(): void {
    const batch = this.#queue.shift()
    this.#written = 0
    if (batch === undefined) return
    this.#waiting -= batch.bytes.byteLength
    batch.done()
  }

  #drop(): void {
    this.dropped += this.#queue[0]?.lines ?? 0
    this.#finish()
  }

  #checkRotation(): void {
    if (this.#path === undefined || this.#descriptor === undefined || this.#busy) return
    if (this.#files.identity(this.#path) !== this.#files.identity(this.#descriptor)) this.reopen()
  }

  #tell(problem: string): void {
    if (problem === this.problem) return
    this.problem = problem
    this.#onProblem(problem)
  }
}

const FILES: SinkFiles = {
  open: (path, done) => fs.open(path, 'a', 0o640, done),
  write: (descriptor, bytes, done) => fs.write(descriptor, bytes, 0, bytes.byteLength, null, done),
  close: (descriptor) => fs.close(descriptor, () => {}),
  identity(at) {
    try {
      const facts = typeof at === 'string' ? fs.statSync(at) : fs.fstatSync(at)
      return `${facts.dev}:${facts.ino}`
    } catch {
      return ''
    }
  },
}

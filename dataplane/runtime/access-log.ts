// One line for each request, format `otel` (ux conventions 5.4): the writer of one worker.
// The exchange calls write once at its end; lines gather here and go in batches to the one sink of the process
// (access-log-sink.ts), because two threads that write to one pipe would cut each other's lines.
import { AccessLine } from './access-log-line.ts'
import type { AccessRecord } from './access-record.ts'

export type { AccessRecord } from './access-record.ts'

/** Where records go. `write` never blocks, never throws and may drop (counted); `flush` hands over what is gathered. */
export interface AccessLog {
  write(record: AccessRecord): void
  flush(): Promise<void>
}

/** Takes a batch of whole lines. false: there is no room, the batch was dropped. */
export type BatchSender = (batch: Uint8Array, lines: number) => boolean

/** Bytes that a batch holds; before they are exceeded it goes out. */
const BATCH_BYTES = 65_536
/** UTF-8 of one UTF-16 unit. */
const MOST_BYTES = 3

/**
 * The writer of one worker.
 * @param send takes batches; called at most every `interval` milliseconds, or when a batch is full.
 * @param dropped is told how many lines had no room.
 * @param pod name for `k8s.pod.name`, '' for none.
 */
export function createAccessLog(options: {
  readonly send: BatchSender
  readonly dropped: (lines: number) => void
  readonly pod?: string
  readonly interval?: number
}): AccessLog {
  const interval = options.interval ?? 100
  const gathered = Buffer.allocUnsafeSlow(BATCH_BYTES)
  let length = 0
  let lines = 0
  let timer: NodeJS.Timeout | undefined

  const handOver = () => {
    clearTimeout(timer)
    timer = undefined
    if (lines === 0) return
    const batch = Uint8Array.prototype.slice.call(gathered, 0, length)
    const count = lines
    length = 0
    lines = 0
    if (!options.send(batch, count)) options.dropped(count)
  }
  const line = new AccessLine(options.pod ?? '')
  return {
    write(record) {
      const text = line.textOf(record)
      const most = text.length * MOST_BYTES
      if (length + most > BATCH_BYTES) handOver()
      if (most > BATCH_BYTES) {
        if (!options.send(Buffer.from(text), 1)) options.dropped(1)
        return
      }
      // Written at once: text that waits as text is many small pieces, which every scavenge would copy.
      length += gathered.write(text, length)
      lines++
      timer ??= setTimeout(handOver, interval).unref()
    },
    async flush() {
      handOver()
    },
  }
}

// One line for each request, format `otel` (ux conventions 5.4): the record, and the writer of one worker.
// The exchange calls write once at its end; lines gather here and go in batches to the one sink of the process
// (access-log-sink.ts), because two threads that write to one pipe would cut each other's lines.
import type { GatewayErrorCode } from '../../model/gateway-error.ts'
import type { RouteId } from '../../model/snapshot.ts'
import { AccessLine } from './access-log-line.ts'
import type { ConnectionTls } from './carrier.ts'

/** What is known of one request when it ends. Fields without data are '' or null and leave no trace in the line. */
export interface AccessRecord {
  /** Milliseconds since the epoch, at the end. */
  readonly time: number
  readonly requestId: string
  /** '' where no tenant owns the request. */
  readonly tenant: string
  readonly route: RouteId | null
  readonly method: string
  readonly scheme: 'http' | 'https'
  readonly host: string
  readonly path: string
  /** As received, without `?`. The writer replaces the values of secret-looking names. */
  readonly query: string
  /** 0 where the client left before any. */
  readonly status: number
  /** Resolved through trusted hops. */
  readonly clientAddress: string
  /** The other end of the socket. */
  readonly peerAddress: string
  /** Bytes of the bodies, and of a tunnel's two directions. */
  readonly requestSize: number
  readonly responseSize: number
  readonly durationMs: number
  /** Null where no backend was asked. */
  readonly upstreamMs: number | null
  readonly backend: { readonly namespace: string; readonly name: string; readonly port: string } | null
  /** `address:port` of the last attempt, '' for none. */
  readonly endpoint: string
  /** Attempts beyond the first. */
  readonly resends: number
  readonly error: GatewayErrorCode | null
  /** Which limit or policy refused: `limits.requests`, `rateLimits/per-client`, `access`. '' for none. */
  readonly decidedBy: string
  /** The client went before the end. */
  readonly aborted: boolean
  readonly tls: ConnectionTls | null
}

/** Where records go. `write` never blocks, never throws and may drop (counted); `flush` hands over what is gathered. */
export interface AccessLog {
  write(record: AccessRecord): void
  flush(): Promise<void>
}

/** Takes a batch of whole lines. false: there is no room, the batch was dropped. */
export type BatchSender = (batch: Uint8Array, lines: number) => boolean

/** Bytes after which a batch goes out at once. */
const BATCH_BYTES = 65_536

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
  let gathered = ''
  let lines = 0
  let timer: NodeJS.Timeout | undefined

  const handOver = () => {
    clearTimeout(timer)
    timer = undefined
    if (lines === 0) return
    const batch = Buffer.from(gathered, 'utf8')
    const count = lines
    gathered = ''
    lines = 0
    if (!options.send(batch, count)) options.dropped(count)
  }
  const line = new AccessLine(options.pod ?? '')
  return {
    write(record) {
      gathered += line.textOf(record)
      lines++
      if (gathered.length >= BATCH_BYTES) handOver()
      else timer ??= setTimeout(handOver, interval).unref()
    },
    async flush() {
      handOver()
    },
  }
}

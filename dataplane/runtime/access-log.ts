// One line for each request, format `otel` (ux conventions 5.4): the record, and the writer of one worker.
// The exchange calls write once at its end; lines gather here and go in batches to the one sink of the process
// (access-log-sink.ts), because two threads that write to one pipe would cut each other's lines.
import { pino } from 'pino'
import { GATEWAY_ERRORS, type GatewayErrorCode } from '../../model/gateway-error.ts'
import type { RouteId } from '../../model/snapshot.ts'
import type { ConnectionTls } from './carrier.ts'
import { hideSecrets } from './access-log-query.ts'

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
const BATCH_BYTES = 32_768

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
  const gather = {
    write(line: string): void {
      gathered += escapeControls(line)
      lines++
      if (gathered.length >= BATCH_BYTES) handOver()
      else timer ??= setTimeout(handOver, interval).unref()
    },
  }
  const logger = pino(
    {
      base: options.pod === undefined || options.pod === '' ? null : { 'k8s.pod.name': options.pod },
      timestamp: false,
      // Stands where pino would put a level: tells these lines from everything else on stdout.
      formatters: { level: () => ({ 'event.name': 'http.access' }) },
    },
    gather,
  )
  return {
    write(record) {
      logger.info(fieldsOf(record))
    },
    async flush() {
      handOver()
    },
  }
}

function fieldsOf(record: AccessRecord): Record<string, string | number | boolean> {
  const fields: Record<string, string | number | boolean> = { time: new Date(record.time).toISOString() }
  const text = (name: string, value: string) => {
    if (value !== '') fields[name] = value
  }
  text('request_id', record.requestId)
  text('atrium.tenant', record.tenant)
  if (record.route !== null) {
    fields['atrium.route_namespace'] = record.route.namespace
    fields['atrium.route'] = record.route.route
    text('atrium.rule', record.route.ruleName === '' ? String(record.route.rule) : record.route.ruleName)
  }
  fields['http.request.method'] = record.method
  if (record.status !== 0) fields['http.response.status_code'] = record.status
  fields['url.scheme'] = record.scheme
  text('server.address', record.host)
  fields['url.path'] = record.path
  text('url.query', hideSecrets(record.query))
  text('client.address', record.clientAddress)
  text('network.peer.address', record.peerAddress)
  fields['http.request.size'] = record.requestSize
  fields['http.response.size'] = record.responseSize
  fields['duration_ms'] = round(record.durationMs)
  if (record.upstreamMs !== null) fields['atrium.upstream_ms'] = round(record.upstreamMs)
  if (record.backend !== null) {
    fields['atrium.backend'] = `${record.backend.namespace}/${record.backend.name}:${record.backend.port}`
  }
  text('atrium.endpoint', record.endpoint)
  if (record.resends > 0) fields['http.request.resend_count'] = record.resends
  if (record.error !== null) {
    fields['error.type'] = record.error
    fields['atrium.error_source'] = GATEWAY_ERRORS[record.error].source
  }
  if (record.decidedBy !== '') {
    fields['atrium.policy'] = record.decidedBy
    fields['atrium.decision'] = 'refused'
  }
  if (record.aborted) fields['atrium.aborted'] = true
  if (record.tls !== null) {
    text('tls.protocol.version', record.tls.version)
    text('tls.cipher', record.tls.cipher)
    text('server.name', record.tls.serverName)
  }
  return fields
}

/** Three decimals: microseconds are as fine as the clock is worth. */
function round(milliseconds: number): number {
  return Math.round(milliseconds * 1000) / 1000
}

// JSON leaves these as they are, but a terminal obeys 0x9b and some readers break a line at U+2028.
const LOOSE_CONTROLS = /[\u007f-\u009f\u2028\u2029]/g

function escapeControls(line: string): string {
  return line.replace(LOOSE_CONTROLS, (found) => `\\u${found.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

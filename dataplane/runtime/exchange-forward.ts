// Attempts of one request at the endpoints of one backend: which endpoint, what may be repeated, what passive health
// and the counters hear of it. One for each forwarded exchange. A request that may have had an effect is sent once.
import type { GatewayErrorCode } from '../../model/gateway-error.ts'
import type { BackendProgram, EndpointHandle, RouteProgram } from '../build/program.ts'
import type { Tunnel } from './carrier.ts'
import type { RequestBody } from './exchange-body.ts'
import type { TenantMetrics } from './pod-state.ts'
import type { AttemptTimeouts, UpstreamCall, UpstreamEvents, UpstreamFailure, UpstreamRequest } from './upstream.ts'

/** What becomes of the attempts. After onForwardFailed, or an end, nothing else is called. */
export interface ForwardOwner {
  onInterim(status: number, fields: readonly string[]): void
  onAnswerHead(status: number, fields: readonly string[], length: number | null): void
  onAnswerChunk(chunk: Uint8Array): boolean
  onAnswerEnd(trailers: readonly string[]): void
  onAnswerTunnel(fields: readonly string[], tunnel: Tunnel): void
  onForwardFailed(code: GatewayErrorCode): void
  fault(error: unknown): void
}

/** RFC 9110 section 9.2.1, of the methods that are proxied: nobody minds if these are done twice. */
const SAFE_METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS'])

/** A client that waits for 100 gets it from us after this long, where the backend does not speak. */
const CONTINUE_AFTER = 1_000

/** What a Forwarding works with. */
export interface ForwardParts {
  readonly route: RouteProgram
  readonly backend: BackendProgram
  readonly request: UpstreamRequest
  readonly body: RequestBody
  readonly metrics: TenantMetrics
  readonly now: () => number
}

/** See the head of this file. */
export class Forwarding implements UpstreamEvents {
  /** Endpoint of the last attempt. */
  endpoint: EndpointHandle | undefined
  /** Attempts beyond the first. */
  resends = 0
  readonly #owner: ForwardOwner
  readonly #parts: ForwardParts
  readonly #timeouts: AttemptTimeouts
  readonly #startedAt: number
  readonly #tried: EndpointHandle[] = []
  #call: UpstreamCall | undefined
  #attempt = 0
  #running = false
  #repeatedAfterLoss = false
  #endedAt = 0
  #timer: NodeJS.Timeout | undefined

  constructor(owner: ForwardOwner, parts: ForwardParts) {
    this.#owner = owner
    this.#parts = parts
    const { backendRequest, connect, idle } = parts.route.plan.timeouts
    this.#timeouts = { connect, firstByte: backendRequest, idle }
    this.#startedAt = parts.now()
  }

  get service(): BackendProgram['service'] {
    return this.#parts.backend.service
  }

  /** Milliseconds from the first attempt to the end of the last. */
  get elapsed(): number {
    return (this.#endedAt === 0 ? this.#parts.now() : this.#endedAt) - this.#startedAt
  }

  /** The first attempt. */
  start(): void {
    this.#tryNext(this.#parts.backend.pick(this.#tried, this.#parts.now()), 'NoHealthyEndpoint')
  }

  /** The client can take more. */
  resume(): void {
    this.#call?.resume()
  }

  /** Ends whatever runs. No event follows. */
  abort(): void {
    const call = this.#call
    this.#leave()
    call?.abort()
  }

  /** The tunnel that came of it is closed. */
  close(): void {
    this.#leave()
  }

  onInterim(status: number, fields: readonly string[]): void {
    try {
      if (status === 100) this.#parts.body.read()
      else this.#owner.onInterim(status, fields)
    } catch (error) {
      this.#owner.fault(error)
    }
  }

  onHead(status: number, fields: readonly string[], length: number | null): void {
    try {
      clearTimeout(this.#timer)
      this.#parts.body.settle()
      if (this.resends > 0) this.#parts.metrics.upstreamRetry('success')
      this.#owner.onAnswerHead(status, fields, length)
    } catch (error) {
      this.#owner.fault(error)
    }
  }

  onChunk(chunk: Uint8Array): boolean {
    try {
      return this.#owner.onAnswerChunk(chunk)
    } catch (error) {
      this.#owner.fault(error)
      return true
    }
  }

  onEnd(trailers: readonly string[]): void {
    try {
      this.#succeed()
      this.#leave()
      this.#owner.onAnswerEnd(trailers)
    } catch (error) {
      this.#owner.fault(error)
    }
  }

  onTunnel(fields: readonly string[], tunnel: Tunnel): void {
    try {
      this.#succeed()
      // The endpoint stays charged until the tunnel is closed, but nothing of the attempt is left to abort.
      this.#call = undefined
      this.#owner.onAnswerTunnel(fields, tunnel)
    } catch (error) {
      tunnel.destroy()
      this.#owner.fault(error)
    }
  }

  onDrain(): void {
    try {
      this.#parts.body.resume()
    } catch (error) {
      this.#owner.fault(error)
    }
  }

  onFailure(failure: UpstreamFailure): void {
    try {
      const { metrics, body, backend, now } = this.#parts
      const endpoint = this.endpoint
      metrics.upstreamError(failure.code)
      // The race of every kept connection: the backend closed it as idle while the request was on its way. Counted, it
      // would put endpoints out that answer each request.
      const isRace = failure.reused && failure.code === 'UpstreamReset' && !failure.answered
      if (endpoint !== undefined && !isRace) backend.report(endpoint, true, now())
      this.#leave()
      body.detach()
      if (endpoint !== undefined && this.#mayRepeat(failure)) this.#repeat(failure, endpoint)
      else this.#give(failure.code)
    } catch (error) {
      this.#owner.fault(error)
    }
  }

  #mayRepeat(failure: UpstreamFailure): boolean {
    const { attempts, onConnectFailure } = this.#parts.route.plan.retry
    if (failure.answered || !this.#parts.body.repeatable || this.resends >= attempts) return false
    if (failure.nothingSent) return failure.code !== 'UpstreamConnectFailed' || onConnectFailure
    // The bytes were handed over and may have had an effect (RFC 9110 section 9.2.2). A timeout is not repeated
    // either: who was too slow once would be asked for the same work again.
    const { method, bodyLength } = this.#parts.request
    if (failure.code !== 'UpstreamReset' || !SAFE_METHODS.has(method) || bodyLength !== 0) return false
    if (this.#repeatedAfterLoss) return false
    this.#repeatedAfterLoss = true
    return true
  }

  /** At once where another endpoint is there to try. A lost connection says little, so the same may be asked again. */
  #repeat(failure: UpstreamFailure, last: EndpointHandle): void {
    const { backend, now, route } = this.#parts
    const wait = failure.reused ? 0 : route.plan.retry.backoff * 2 ** this.resends
    this.resends += 1
    if (!this.#tried.includes(last)) this.#tried.push(last)
    const other = backend.pick(this.#tried, now())
    if (other !== undefined || failure.code === 'UpstreamConnectFailed' || wait === 0) {
      this.#tryNext(other ?? (failure.code === 'UpstreamConnectFailed' ? undefined : last), failure.code)
      return
    }
    this.#timer = setTimeout(() => {
      try {
        this.#tryNext(backend.pick(this.#tried, now()) ?? last, failure.code)
      } catch (error) {
        this.#owner.fault(error)
      }
    }, wait)
  }

  #tryNext(endpoint: EndpointHandle | undefined, otherwise: GatewayErrorCode): void {
    if (endpoint === undefined) {
      this.#give(otherwise)
      return
    }
    const attempt = ++this.#attempt
    this.endpoint = endpoint
    this.#running = true
    endpoint.state.begin()
    const call = endpoint.client.send(this.#parts.request, this.#timeouts, this)
    // A client may fail at once, inside `send`; then this attempt is over already.
    if (attempt !== this.#attempt || !this.#running) return
    this.#call = call
    this.#parts.body.attach(call)
    if (attempt !== this.#attempt || !this.#running) return
    if (this.#parts.request.expectContinue) this.#awaitContinue()
    else this.#parts.body.read()
  }

  /** A backend that never says 100 must not stall a client that waits for it (RFC 9110 section 10.1.1). */
  #awaitContinue(): void {
    this.#timer = setTimeout(() => {
      try {
        this.#parts.body.read()
      } catch (error) {
        this.#owner.fault(error)
      }
    }, CONTINUE_AFTER)
  }

  #succeed(): void {
    if (this.endpoint !== undefined) this.#parts.backend.report(this.endpoint, false, this.#parts.now())
  }

  #give(code: GatewayErrorCode): void {
    if (this.resends > 0) this.#parts.metrics.upstreamRetry('failure')
    this.#endedAt = this.#parts.now()
    this.#owner.onForwardFailed(code)
  }

  #leave(): void {
    clearTimeout(this.#timer)
    this.#call = undefined
    if (!this.#running) return
    this.#running = false
    this.#endedAt = this.#parts.now()
    this.endpoint?.state.end()
  }
}

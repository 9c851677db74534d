// One request, from the codec's stream to the last byte of its answer: admission, route, policies, forwarding, answer,
// and exactly one end at which every charge is given back. Knows no codec. dataplane/serve hands every request here.
import type {
  ChunkResult,
  ClientIdentity,
  Exchange,
  ResponseHead,
  ResponseOrigin,
  StepResult,
} from '../../model/filter.ts'
import { headerId } from '../../model/filter.ts'
import type { GatewayAnswer, GatewayErrorCode } from '../../model/gateway-error.ts'
import type { RouteId } from '../../model/snapshot.ts'
import type { HostProgram, RouteProgram } from '../build/program.ts'
import { SERVER_TARGET } from '../../model/target.ts'
import { ALLOWED_METHODS, problem } from '../errors.ts'
import type { ClientEvents, ClientStream, Tunnel } from './carrier.ts'
import { interimFields, takeAnswer, takeProblem } from './exchange-answer.ts'
import { judgeConnection, judgeLimits, type Admission } from './exchange-admission.ts'
import { RequestBody, type BodyOwner } from './exchange-body.ts'
import type { ServeContext } from './exchange-context.ts'
import { record, type Ended } from './exchange-record.ts'
import { Forwarding, type ForwardOwner } from './exchange-forward.ts'
import { upstreamRequest } from './exchange-request.ts'
import { TunnelPair, type TunnelOwner } from './exchange-tunnel.ts'
import type { ResponseFields } from './field-list.ts'
import { passingTrailers } from './field-rules.ts'
import { type Lease, LeasePlace } from './leases.ts'
import type { TenantState } from './pod-state.ts'
import type { ReceivedRequest } from './received-request.ts'

export type { ServeContext } from './exchange-context.ts'

/** The function that a codec calls for each request whose head was judged good. It never throws. */
export function createHandler(context: ServeContext): (stream: ClientStream) => void {
  const now = () => context.state.now()
  return (stream) => new ServedExchange(context, now, stream).start()
}

const NO_ROUTE: RouteId = { tenant: '', namespace: '', route: '', rule: 0, ruleName: '' }
const TRAILER = headerId('trailer')
const NO_SLOTS: unknown[] = []

/** open: nothing final was sent. answering: the head was. tunnel: after 101. ended: everything is given back. */
type Phase = 'open' | 'answering' | 'tunnel' | 'ended'

class ServedExchange extends LeasePlace implements Exchange, Lease, ClientEvents, BodyOwner, ForwardOwner, TunnelOwner {
  tenant = ''
  route: RouteId = NO_ROUTE
  slots: unknown[] = NO_SLOTS
  readonly requestId: string
  readonly client: ClientIdentity
  readonly request: ReceivedRequest
  readonly startedAt: number
  readonly #context: ServeContext
  readonly #now: () => number
  readonly #stream: ClientStream
  #phase: Phase = 'open'
  #account: TenantState | undefined
  #holdsConcurrency = false
  #program: RouteProgram | undefined
  #onEnd: RouteProgram['onEnd'] = []
  #onResponseChunk: RouteProgram['onResponseChunk'] = []
  #routed: RouteProgram['metrics'] | undefined
  #body: RequestBody | undefined
  #forwarding: Forwarding | undefined
  #pair: TunnelPair | undefined
  #deadline: NodeJS.Timeout | undefined
  #long = false
  #status = 0
  #origin: ResponseOrigin = 'gateway'
  #error: GatewayErrorCode | undefined
  #decidedBy = ''
  #aborted = false
  #bytesIn = 0
  #bytesOut = 0
  #announced: readonly string[] = []

  constructor(context: ServeContext, now: () => number, stream: ClientStream) {
    super()
    this.#context = context
    this.#now = now
    this.#stream = stream
    this.request = stream.request
    this.client = stream.request.client
    this.requestId = stream.request.givenId === '' ? context.requestIds.next() : stream.request.givenId
    this.startedAt = now()
  }

  get leaseHost(): string {
    return this.request.host
  }

  start(): void {
    try {
      this.#stream.listen(this)
      this.#context.leases.open(this)
      const host = this.#context.hosts.lookup(this.request.host)
      if (host === undefined) this.#answer({ code: 'NoHost' })
      else this.#admit(host)
    } catch (error) {
      this.fault(error)
    }
  }

  #admit(host: HostProgram): void {
    const { tenant } = host
    this.tenant = tenant.tenant
    this.#account = tenant.state
    tenant.state.metrics.active(1)
    let admission: Admission = judgeConnection(host, this.#stream, this.#context.httpsPort())
    if (admission.type === 'go') {
      admission = judgeLimits(tenant, this.#stream)
      this.#holdsConcurrency = admission.type === 'go'
    }
    if (admission.type === 'secure') {
      this.#redirect(308, admission.location)
      return
    }
    if (admission.type === 'refuse') {
      if (admission.close === true) this.#stream.closeAfterAnswer()
      this.#answer(admission.answer, admission.fields)
      return
    }
    if (this.request.path === SERVER_TARGET) {
      this.#tellMethods()
      return
    }
    const program = host.route(this.request)
    if (program === undefined) {
      this.#answer({ code: 'NoRoute' })
      return
    }
    this.route = program.id
    this.#program = program
    this.#routed = program.metrics
    this.#onEnd = program.onEnd
    this.#onResponseChunk = program.onResponseChunk
    if (program.slots > 0) this.slots = new Array(program.slots)
    this.#body = new RequestBody(this, this.#stream, tenant.limits.bodySize, this.request.getAll(TRAILER))
    const { request } = program.plan.timeouts
    if (request !== null) this.#deadline = setTimeout(() => this.#onDeadline(), request)
    this.#runSteps(program, 0)
  }

  /** Runs the request steps from `from` on; waits only where a step gives a promise. */
  #runSteps(program: RouteProgram, from: number): void {
    const steps = program.onRequest
    for (let at = from; at < steps.length; at += 1) {
      const step = steps[at]
      if (step === undefined) continue
      const result = step.hook.call(step.hooks, this, step.slot)
      if (result === undefined) continue
      if (result instanceof Promise) {
        this.#await(result, program, at + 1)
        return
      }
      this.#answer(result)
      return
    }
    this.#serve(program)
  }

  #await(result: Promise<StepResult>, program: RouteProgram, next: number): void {
    result
      .then((answer) => {
        if (this.#phase !== 'open') return
        if (answer === undefined) this.#runSteps(program, next)
        else this.#answer(answer)
      })
      .catch((error: unknown) => this.fault(error))
  }

  #serve(program: RouteProgram): void {
    const { action } = program.plan
    if (action.type === 'unavailable') {
      this.#answer({ code: action.error })
      return
    }
    if (action.type === 'redirect') {
      this.#redirect(action.redirect.statusCode, program.location(this.request, this.request.visiblePort))
      return
    }
    const target = program.target(this.request)
    if (!target.startsWith('/')) {
      this.#answer({ code: target as GatewayErrorCode })
      return
    }
    const backend = program.pickBackend()
    const body = this.#body
    const account = this.#account
    if (backend === undefined || backend === null || body === undefined || account === undefined) {
      this.#answer({ code: 'NoHealthyEndpoint' })
      return
    }
    this.#forwarding = new Forwarding(this, {
      route: program,
      backend,
      request: upstreamRequest(this.#stream, program, target, this.requestId),
      body,
      metrics: account.metrics,
      now: this.#now,
    })
    this.#forwarding.start()
  }

  // --- what the backend says ---

  onInterim(status: number, fields: readonly string[]): void {
    if (this.#phase === 'open') this.#stream.interim(status, interimFields(fields))
  }

  onAnswerHead(status: number, fields: readonly string[], length: number | null): void {
    if (this.#phase !== 'open') return
    const head = this.#stream.createHead(status)
    const shape = takeAnswer(head, this.request.method, fields, length, this.#onResponseChunk.length > 0)
    this.#announced = shape.announced
    this.#program?.changeResponseHeaders?.(head)
    this.#showResponse(head, 'backend')
    this.#send(head, shape.length, 'backend')
  }

  onAnswerChunk(chunk: Uint8Array): boolean {
    if (this.#phase !== 'answering') return true
    let shown = chunk
    for (const step of this.#onResponseChunk) {
      const result: ChunkResult = step.hook.call(step.hooks, this, shown, step.slot)
      if (result === undefined) continue
      if (!(result instanceof Uint8Array)) {
        this.stopWith(result)
        return true
      }
      shown = result
    }
    if (shown.length === 0) return true
    this.#bytesOut += shown.length
    return this.#stream.write(shown)
  }

  onAnswerEnd(trailers: readonly string[]): void {
    if (this.#phase !== 'answering') return
    this.#body?.stop()
    this.#stream.end(passingTrailers(trailers, this.#announced))
  }

  onAnswerTunnel(fields: readonly string[], tunnel: Tunnel): void {
    if (this.#phase !== 'open') {
      tunnel.destroy()
      return
    }
    clearTimeout(this.#deadline)
    const head = this.#stream.createHead(101)
    takeAnswer(head, this.request.method, fields, 0, false)
    this.#program?.changeResponseHeaders?.(head)
    this.#showResponse(head, 'backend')
    const idle = this.#program?.plan.timeouts.idle ?? 0
    this.#phase = 'tunnel'
    this.#status = 101
    this.#origin = 'backend'
    this.#pair = new TunnelPair(this, this.#stream.tunnel(head), tunnel, idle, this.#now)
    this.#context.leases.lengthen(this)
  }

  onForwardFailed(code: GatewayErrorCode): void {
    if (this.#phase === 'open') this.#answer({ code })
    else this.#cut(code)
  }

  onTunnelBytes(fromClient: number, fromBackend: number): void {
    this.#bytesIn += fromClient
    this.#bytesOut += fromBackend
  }

  onTunnelClosed(): void {
    this.#settle()
  }

  // --- what the client says ---

  onDrain(): void {
    try {
      this.#forwarding?.resume()
    } catch (error) {
      this.fault(error)
    }
  }

  onAbort(): void {
    if (this.#phase === 'ended' || this.#phase === 'tunnel') return
    this.#aborted = true
    try {
      this.#forwarding?.abort()
    } finally {
      this.#settle()
    }
  }

  onFinish(): void {
    if (this.#phase !== 'tunnel') this.#settle()
  }

  onBodyStalled(): void {
    try {
      this.#stream.closeAfterAnswer()
      this.stopWith({ code: 'RequestTimeout' })
    } catch (error) {
      this.fault(error)
    }
  }

  showRequestChunk(chunk: Uint8Array): ChunkResult {
    const steps = this.#program?.onRequestChunk
    if (steps === undefined || steps.length === 0) return undefined
    let shown: Uint8Array | undefined
    for (const step of steps) {
      const result = step.hook.call(step.hooks, this, shown ?? chunk, step.slot)
      if (result === undefined) continue
      if (!(result instanceof Uint8Array)) return result
      shown = result
    }
    return shown
  }

  stopWith(answer: GatewayAnswer): void {
    if (answer.code === 'BodyTooLarge') this.#account?.metrics.limitDecision('bodySize', 'refused')
    if (this.#phase === 'open') this.#answer(answer)
    else this.#cut(answer.code)
  }

  // --- what the worker says ---

  settleIn(): void {
    this.#long = true
    if (this.#phase !== 'open') this.#program = undefined
  }

  endLease(reason: GatewayErrorCode): void {
    try {
      if (this.#phase === 'open') this.#answer({ code: reason })
      else if (this.#phase === 'tunnel') {
        this.#error = reason
        this.#pair?.goAway()
      } else this.#cut(reason)
    } catch (error) {
      this.fault(error)
    }
  }

  #onDeadline(): void {
    try {
      if (this.#phase === 'open') this.#answer({ code: 'RequestDeadlineExceeded' })
      else if (this.#phase === 'answering') this.#cut('RequestDeadlineExceeded')
    } catch (error) {
      this.fault(error)
    }
  }

  /** A throw of ours or of a hook ends this exchange and its connection, and nothing else. */
  fault(error: unknown): void {
    if (this.#phase === 'ended') return
    this.#tell(error)
    try {
      this.#forwarding?.abort()
      this.#body?.stop()
      if (this.#phase !== 'open') {
        this.#cut('InternalError')
        return
      }
      // The hooks may be what threw, so they do not see this answer.
      this.#program = undefined
      this.#stream.closeAfterAnswer()
      this.#answer({ code: 'InternalError' })
    } catch (second) {
      this.#tell(second)
      this.#error = 'InternalError'
      this.#stream.abort()
      this.#settle()
    }
  }

  // --- answers ---

  #answer(answer: GatewayAnswer, more: readonly string[] = []): void {
    if (this.#phase !== 'open') return
    this.#forwarding?.abort()
    this.#body?.stop()
    this.#error = answer.code
    this.#decidedBy = answer.decidedBy ?? ''
    const metrics = this.#account?.metrics ?? this.#context.state.unowned
    metrics.gatewayError(answer.code)
    const ready = problem(answer, this.requestId)
    const head = this.#stream.createHead(ready.status)
    takeProblem(head, ready, more)
    this.#showResponse(head, 'gateway')
    const bodiless = this.request.method === 'HEAD'
    this.#send(head, bodiless ? 0 : ready.body.length, 'gateway')
    if (!bodiless) {
      this.#bytesOut += ready.body.length
      this.#stream.write(ready.body)
    }
    this.#stream.end([])
  }

  /** `OPTIONS *` asks the server itself (RFC 9110 section 9.3.7): no backend and no policy is of its concern. */
  #tellMethods(): void {
    const head = this.#stream.createHead(204)
    head.add('allow', ALLOWED_METHODS)
    this.#send(head, 0, 'gateway')
    this.#stream.end([])
  }

  #redirect(status: number, location: string): void {
    const head = this.#stream.createHead(status)
    head.add('location', location)
    this.#showResponse(head, 'gateway')
    this.#send(head, 0, 'gateway')
    this.#stream.end([])
  }

  #showResponse(head: ResponseHead, origin: ResponseOrigin): void {
    const steps = this.#program?.onResponse
    if (steps === undefined) return
    for (const step of steps) step.hook.call(step.hooks, this, head, origin, step.slot)
  }

  #send(head: ResponseFields, length: number | null, origin: ResponseOrigin): void {
    this.#phase = 'answering'
    this.#status = head.status
    this.#origin = origin
    if (this.#long) this.#program = undefined
    this.#stream.respond(head, length)
  }

  /** The answer has begun and cannot be whole: the client must be able to tell. */
  #cut(code: GatewayErrorCode): void {
    if (this.#phase === 'ended') return
    this.#error = code
    this.#forwarding?.abort()
    this.#body?.stop()
    this.#pair?.destroy()
    this.#stream.abort()
    this.#settle()
  }

  // --- the end ---

  #routeOrNull(): RouteId | null {
    return this.route === NO_ROUTE ? null : this.route
  }

  #settle(): void {
    if (this.#phase === 'ended') return
    this.#phase = 'ended'
    clearTimeout(this.#deadline)
    this.#context.leases.close(this)
    this.#forwarding?.close()
    this.#bytesIn += this.#body?.received ?? 0
    this.#body?.stop()
    const ended: Ended = {
      exchange: this,
      route: this.#routeOrNull(),
      status: this.#status,
      error: this.#error,
      decidedBy: this.#decidedBy,
      aborted: this.#aborted,
      bytesIn: this.#bytesIn,
      bytesOut: this.#bytesOut,
      forwarding: this.#forwarding,
      account: this.#account,
      routed: this.#routed,
      connection: this.#stream.connection,
    }
    if (this.#holdsConcurrency) this.#account?.concurrency.release()
    this.#account?.metrics.active(-1)
    try {
      record(this.#context, ended)
    } catch (error) {
      this.#tell(error)
    }
    if (this.#onEnd.length > 0) this.#showEnd()
  }

  /** What one step throws must not keep the others from hearing of the end. */
  #showEnd(): void {
    const outcome = { status: this.#status, origin: this.#origin, error: this.#error, aborted: this.#aborted }
    for (const step of this.#onEnd) {
      try {
        step.hook.call(step.hooks, this, outcome, step.slot)
      } catch (error) {
        this.#tell(error)
      }
    }
  }

  #tell(error: unknown): void {
    this.#context.fault(error, { requestId: this.requestId, tenant: this.tenant, route: this.#routeOrNull() })
  }
}

// Routes of several tenants that all carry one number in a response header, and watchers that ask one dataplane pod for
// them all the time: the number only rises, the two rules of a Route agree, and every answer is a 200. Used by the tests
// that replace parts of Atrium while it is edited.
import { Agent } from 'node:http'
import { type Api, ownPath } from './api.ts'
import type { GatewayAddress } from './installation.ts'
import { ask } from './request.ts'
import { routeOf } from './tenant.ts'

const HEADER = 'x-mark'
const PATHS = ['/one', '/two']

/** See the head of this file. Backends of all tenants are those of the first. */
export class MarkedRoutes {
  readonly #api: Api
  readonly #tenants: readonly string[]
  #mark = 0
  #last: Promise<unknown> = Promise.resolve()

  constructor(api: Api, tenants: readonly string[]) {
    this.#api = api
    this.#tenants = tenants
  }

  /** The number that was given out last. */
  get mark(): number {
    return this.#mark
  }

  /** Makes the Routes. */
  async create(): Promise<void> {
    this.#mark++
    await this.#each((tenant) => [
      'POST',
      ownPath('routes', tenant),
      routeOf(tenant, 'marked', hostOf(tenant), { rules: rules(this.#mark) }),
    ])
  }

  /** Gives all Routes the next number, one edit after the other; resolves with it when the API server has all. */
  edit(): Promise<number> {
    const mark = ++this.#mark
    const body = { spec: { rules: rules(mark) } }
    const edit = this.#last.then(async () => {
      await this.#each((tenant) => ['PATCH', `${ownPath('routes', tenant)}/marked`, body])
      return mark
    })
    this.#last = edit.catch(() => undefined)
    return edit
  }

  /** Begins to ask a pod. */
  watch(gateway: GatewayAddress): MarkWatch {
    return new MarkWatch(gateway, this.#tenants)
  }

  async #each(call: (tenant: string) => readonly ['POST' | 'PATCH', string, unknown]): Promise<void> {
    const answers = await Promise.all(this.#tenants.map((tenant) => this.#api.call(...call(tenant))))
    const bad = answers.find(({ status }) => status >= 300)
    if (bad !== undefined) throw new Error(`the API server answered ${bad.status}: ${JSON.stringify(bad.body)}`)
  }
}

/** Asks one pod, over one connection, until `stop`. */
export class MarkWatch {
  readonly problems: string[] = []
  requests = 0
  readonly #gateway: GatewayAddress
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 })
  readonly #marks = new Map<string, number>()
  readonly #running: Promise<void>
  #stopped = false

  constructor(gateway: GatewayAddress, tenants: readonly string[]) {
    this.#gateway = gateway
    for (const tenant of tenants) this.#marks.set(tenant, 0)
    this.#running = this.#run()
  }

  /** The lowest number that any tenant had in its last answer. */
  get mark(): number {
    return Math.min(...this.#marks.values())
  }

  /** Resolves when all tenants have that number, or rejects. */
  async until(mark: number, timeout: number): Promise<void> {
    const end = performance.now() + timeout
    while (this.mark < mark) {
      if (performance.now() > end) {
        const has = [...this.#marks].map(([tenant, value]) => `${tenant} ${value}`).join(', ')
        throw new Error(`${this.#gateway.host} did not come to ${mark} within ${timeout} ms: ${has}`)
      }
      await pause(5)
    }
  }

  async stop(): Promise<void> {
    this.#stopped = true
    await this.#running
    this.#agent.destroy()
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      for (const tenant of this.#marks.keys()) for (const path of PATHS) await this.#ask(tenant, path)
      await pause(10)
    }
  }

  async #ask(tenant: string, path: string): Promise<void> {
    this.requests++
    try {
      const { status, headers } = await ask(this.#gateway, hostOf(tenant), {
        path,
        agent: this.#agent,
        timeout: 30_000,
      })
      const mark = Number(headers[HEADER])
      const former = this.#marks.get(tenant) ?? 0
      if (status !== 200)
        this.#complain(`${tenant}${path} answered ${status} ${String(headers['x-atrium-error'] ?? '')}`)
      // The first rule of the pair is asked first: the second is as new, or newer.
      else if (!(mark >= former)) this.#complain(`${tenant}${path} went from ${former} back to ${mark}`)
      else this.#marks.set(tenant, mark)
    } catch (error) {
      this.#complain(`${tenant}${path}: ${String(error)}`)
    }
  }

  #complain(what: string): void {
    if (this.problems.length < 50) this.problems.push(`${this.#gateway.host}: ${what}`)
  }
}

function hostOf(tenant: string): string {
  return `marked.${tenant}.test`
}

function rules(mark: number): readonly unknown[] {
  const set = [{ name: HEADER, value: String(mark) }]
  return PATHS.map((value) => ({
    matches: [{ path: { value } }],
    filters: [{ type: 'ResponseHeaderModifier', responseHeaderModifier: { set } }],
    backendRefs: [{ name: 'web', port: 80 }],
    timeouts: { connect: '10s' },
  }))
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds))
}

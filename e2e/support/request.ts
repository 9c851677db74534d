// Requests to the gateway as clients send them. Used by the tests on a cluster.
import { type Agent, request } from 'node:http'
import { request as requestTls } from 'node:https'
import type { GatewayAddress } from './installation.ts'

/** What came back. */
export interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>
  readonly body: string
}

export interface RequestOptions {
  readonly path?: string
  readonly agent?: Agent
  /** Milliseconds. */
  readonly timeout?: number
  readonly tls?: { readonly ca: string }
}

/** One GET for a host. Rejects where no answer came. */
export function ask(gateway: GatewayAddress, host: string, options: RequestOptions = {}): Promise<Answer> {
  const { path = '/', timeout = 5_000, tls, agent } = options
  return new Promise((resolve, reject) => {
    const common = { host: gateway.host, path, timeout, headers: { host } }
    const call =
      tls === undefined
        ? request({ ...common, port: gateway.port, ...(agent === undefined ? {} : { agent }) })
        : requestTls({ ...common, port: gateway.tlsPort, ca: tls.ca, servername: host, agent: false })
    call.on('timeout', () => call.destroy(new Error('no answer in time')))
    call.on('error', reject)
    call.on('response', (response) => {
      let body = ''
      response.setEncoding('utf8').on('data', (chunk: string) => {
        body += chunk
      })
      response.on('error', reject)
      response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body }))
    })
    call.end()
  })
}

/** Asks until `wanted` holds, and returns that answer. Rejects after `timeout` milliseconds with the last that was had. */
export async function askUntil(
  gateway: GatewayAddress,
  host: string,
  wanted: (answer: Answer) => boolean,
  timeout: number,
  options: RequestOptions = {},
): Promise<Answer> {
  const end = performance.now() + timeout
  let last: unknown
  while (performance.now() < end) {
    try {
      const answer = await ask(gateway, host, options)
      if (wanted(answer)) return answer
      last = `${answer.status} ${answer.body.slice(0, 200)}`
    } catch (error) {
      last = error
    }
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  throw new Error(`${host} did not answer as wanted within ${timeout} ms; last: ${String(last)}`)
}

/** The value below which a share of the numbers lies. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN
}

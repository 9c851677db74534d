// Around a trial case: starts things, closes them all in the end, and asks the gateway short questions.
import { afterEach } from 'vitest'
import type { Flat } from './client-call.ts'
import { type GatewayOptions, startGateway, type TestGateway } from './gateway.ts'
import { RawClient, type RawAnswer } from './raw-client.ts'

/** Closes what was started, after each test. */
export interface Trial {
  /** Keeps something to be closed. */
  keep<Thing extends { close(): Promise<void> | void }>(thing: Thing | Promise<Thing>): Promise<Thing>
  gateway(yaml: string, options?: GatewayOptions): Promise<TestGateway>
}

/** Call once in a test file. */
export function createTrial(): Trial {
  const closing: (() => Promise<void> | void)[] = []
  afterEach(async () => {
    for (const close of closing.splice(0).reverse()) await close()
  })
  const keep: Trial['keep'] = async (started) => {
    const thing = await started
    closing.push(() => thing.close())
    return thing
  }
  return {
    keep,
    gateway: async (yaml, options) => {
      const gateway = await keep(startGateway(yaml, options))
      const rejected = gateway.result.issues.filter(({ severity }) => severity === 'rejects')
      if (rejected.length > 0) throw new Error(rejected.map(({ message }) => message).join('\n'))
      return gateway
    },
  }
}

/** One request on a connection of its own. */
export async function ask(
  port: number,
  host: string,
  target: string,
  options: { readonly method?: string; readonly fields?: Flat; readonly body?: string } = {},
): Promise<RawAnswer & { readonly text: string }> {
  const client = await RawClient.connect(port)
  try {
    const { method = 'GET', fields = [], body } = options
    let text = `${method} ${target} HTTP/1.1\r\nHost: ${host}\r\n`
    for (let at = 0; at < fields.length; at += 2) text += `${fields[at]}: ${fields[at + 1]}\r\n`
    if (body !== undefined) text += `Content-Length: ${Buffer.byteLength(body)}\r\n`
    const answer = await client.request(`${text}\r\n${body ?? ''}`, method)
    return { ...answer, text: answer.body.toString('latin1') }
  } finally {
    client.destroy()
  }
}

/** Waits until something holds, at most five seconds. */
export async function until(holds: () => boolean): Promise<void> {
  for (let turn = 0; turn < 1_000; turn += 1) {
    if (holds()) return
    await pause(5)
  }
  throw new Error('it never came to hold')
}

export function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, milliseconds)
  })
}

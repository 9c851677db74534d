// The controllers of the release, by the name of a headless Service that is resolved for every call: tried one after the
// other in an order that differs from pod to pod, or all of them. Each proves that it is a controller before it is asked.
import { lookup } from 'node:dns/promises'
import { PeerCaller } from '../../peer/call.ts'
import { connectPeer } from '../../peer/connect.ts'
import type { PeerCredentials } from '../../peer/identify.ts'

export interface ControllersOptions {
  readonly release: string
  /** `host:port` each; a host may resolve to many addresses. */
  readonly addresses: readonly string[]
  /** A number from 0 to 1. */
  readonly random: () => number
  /** Addresses of a host name. Default: the resolver of the system. */
  readonly resolve?: (host: string) => Promise<readonly string[]>
}

/** Milliseconds. */
const CONNECT = 3_000

type Credentials = PeerCredentials | { readonly authorities: string }

/** See the head of this file. */
export class Controllers {
  readonly #options: ControllersOptions

  constructor(options: ControllersOptions) {
    this.#options = options
  }

  /** The answer of the first controller that has one. Rejects with what the last one said where none has. */
  async ask<Answer>(credentials: Credentials, run: (caller: PeerCaller) => Promise<Answer>): Promise<Answer> {
    let trouble: unknown = new Error('no controller can be found')
    for (const target of await this.#targets()) {
      try {
        return await this.#call(target, credentials, run)
      } catch (error) {
        trouble = error
      }
    }
    throw trouble
  }

  /** The answers of all controllers that have one. */
  async askAll<Answer>(
    credentials: Credentials,
    run: (caller: PeerCaller) => Promise<Answer>,
  ): Promise<readonly Answer[]> {
    const targets = await this.#targets()
    const results = await Promise.allSettled(targets.map((target) => this.#call(target, credentials, run)))
    return results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []))
  }

  async #call<Answer>(
    target: { readonly host: string; readonly port: number },
    credentials: Credentials,
    run: (caller: PeerCaller) => Promise<Answer>,
  ): Promise<Answer> {
    const { release } = this.#options
    const caller = new PeerCaller(() =>
      connectPeer({
        ...target,
        credentials,
        timeout: CONNECT,
        check: (identity) =>
          identity.release === release && identity.role === 'controller'
            ? undefined
            : 'it is no controller of this release',
      }),
    )
    try {
      return await run(caller)
    } finally {
      caller.close()
    }
  }

  async #targets(): Promise<readonly { readonly host: string; readonly port: number }[]> {
    const { addresses, random, resolve = resolveHost } = this.#options
    const found = await Promise.allSettled(
      addresses.map(async (address) => {
        const colon = address.lastIndexOf(':')
        const port = Number(address.slice(colon + 1))
        const hosts = await resolve(address.slice(0, colon).replace(/^\[|\]$/g, ''))
        return hosts.map((host) => ({ host, port, order: random() }))
      }),
    )
    return found
      .flatMap((result) => (result.status === 'fulfilled' ? result.value : []))
      .sort((a, b) => a.order - b.order)
  }
}

async function resolveHost(host: string): Promise<readonly string[]> {
  return (await lookup(host, { all: true })).map(({ address }) => address)
}

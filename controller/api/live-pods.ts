// Reads the live state of dataplane pods over the release's mutual TLS, many at once, each with a deadline; whoever does
// not answer is named and delays nobody. server.ts asks, and pods-proxy.ts borrows the connections; a pod is proven before the first byte.
import type { Readable } from 'node:stream'
import type { TLSSocket } from 'node:tls'
import { PeerCaller } from '../../peer/call.ts'
import { connectPeer } from '../../peer/connect.ts'
import type { PeerCredentials } from '../../peer/identify.ts'
import type { Peer, Peers } from '../publish/peers.ts'

export interface LivePodsOptions {
  readonly release: string
  readonly peers: Peers
  readonly credentials: () => PeerCredentials
}

/** What one pod answered, or why it did not. */
export type PodAnswer =
  | { readonly pod: Peer; readonly value: unknown }
  | { readonly pod: Peer; readonly problem: string }

const CONNECT_MS = 2_000
const READ = { timeout: 10_000, idle: 5_000 }
const STREAM = { timeout: 120_000, idle: 15_000 }
const MAX_ANSWER = 64 * 1024 * 1024
const AT_ONCE = 16
/** Callers of pods that were not read for this long are closed. */
const IDLE_MS = 60_000

interface Entry {
  readonly caller: PeerCaller
  readonly credentials: PeerCredentials
  readonly peer: Peer
  usedAt: number
}

/** See the head of this file. */
export class LivePods {
  readonly #options: LivePodsOptions
  readonly #entries = new Map<string, Entry>()
  readonly #sweep: NodeJS.Timeout

  constructor(options: LivePodsOptions) {
    this.#options = options
    this.#sweep = setInterval(() => this.#close(performance.now() - IDLE_MS), IDLE_MS)
    this.#sweep.unref()
  }

  /** The pods there are, by name. */
  all(): readonly Peer[] {
    return [...this.#options.peers.all()].sort((a, b) => (a.name < b.name ? -1 : 1))
  }

  /** Reads the same of every pod. Never rejects. A pod that has left and does not answer is none any more. */
  async readAll(path: string): Promise<readonly PodAnswer[]> {
    const pods = this.all()
    const answers: PodAnswer[] = []
    let next = 0
    const work = async () => {
      for (let pod = pods[next++]; pod !== undefined; pod = pods[next++])
        answers.push(await this.#readSafely(pod, path))
    }
    await Promise.all(Array.from({ length: Math.min(AT_ONCE, pods.length) }, work))
    const { peers } = this.#options
    return answers
      .filter((answer) => 'value' in answer || !peers.hasLeft(answer.pod.uid))
      .sort((a, b) => (a.pod.name < b.pod.name ? -1 : 1))
  }

  /** Reads JSON of one pod; `body` is posted. Rejects where it does not answer. */
  async read(pod: Peer, path: string, body?: unknown): Promise<unknown> {
    return await this.#caller(pod).json({
      ...(body === undefined
        ? { method: 'GET' as const }
        : { method: 'POST' as const, body: { type: 'application/json', content: JSON.stringify(body) } }),
      path,
      ...READ,
      maxAnswer: MAX_ANSWER,
    })
  }

  /** Reads text of one pod, whole. Rejects where it does not answer, or is larger than a pod's answer may be. */
  async text(pod: Peer, path: string): Promise<string> {
    return await this.#caller(pod).stream(
      { method: 'GET', path, ...STREAM, maxAnswer: MAX_ANSWER },
      async (stream: Readable) => {
        const parts: Buffer[] = []
        let length = 0
        for await (const part of stream as AsyncIterable<Buffer>) {
          length += part.length
          if (length > MAX_ANSWER) throw new Error(`more than ${MAX_ANSWER} bytes`)
          parts.push(part)
        }
        return Buffer.concat(parts, length).toString('utf8')
      },
    )
  }

  /** A connection to one pod, proven to be it. */
  connect(pod: Peer): Promise<TLSSocket> {
    const { release, credentials } = this.#options
    return connectPeer({
      host: pod.address,
      port: pod.port,
      credentials: credentials(),
      timeout: CONNECT_MS,
      check: (identity) => {
        if (identity.release !== release || identity.role !== 'dataplane') return 'it is no dataplane of this release'
        return identity.uid === pod.uid ? undefined : 'it is another pod than the one that was at this address'
      },
    })
  }

  stop(): void {
    clearInterval(this.#sweep)
    this.#close(Number.POSITIVE_INFINITY)
  }

  async #readSafely(pod: Peer, path: string): Promise<PodAnswer> {
    try {
      return { pod, value: await this.read(pod, path) }
    } catch (error) {
      return { pod, problem: error instanceof Error ? error.message : String(error) }
    }
  }

  #caller(pod: Peer): PeerCaller {
    const credentials = this.#options.credentials()
    const known = this.#entries.get(pod.uid)
    const usedAt = performance.now()
    if (known !== undefined && known.credentials === credentials && samePlace(known.peer, pod)) {
      known.usedAt = usedAt
      return known.caller
    }
    known?.caller.close()
    const caller = new PeerCaller(() => this.connect(pod))
    this.#entries.set(pod.uid, { caller, credentials, peer: pod, usedAt })
    return caller
  }

  #close(before: number): void {
    for (const [uid, { caller, usedAt }] of [...this.#entries]) {
      if (usedAt >= before) continue
      caller.close()
      this.#entries.delete(uid)
    }
  }
}

function samePlace(a: Peer, b: Peer): boolean {
  return a.address === b.address && a.port === b.port
}

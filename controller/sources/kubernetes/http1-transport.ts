// HTTP/1.1 to the API server: requests and the watches of whole kinds. One keep-alive agent; its connections are keyed
// by the TLS identity too, so a rotated certificate gets connections of its own. The client makes it.
import { Agent, request } from 'node:https'
import type { ApiServer } from './access.ts'
import {
  boundConnecting,
  failureOf,
  type IncomingAnswer,
  type OutgoingCall,
  tlsOptions,
  type Transport,
} from './transport.ts'

/** A half-open connection is found by the kernel: first probe after this, then one a second, ten times. */
const PROBE_AFTER_MS = 15_000
const MAX_SOCKETS = 256

/** One shared agent. */
export class Http1Transport implements Transport {
  readonly #server: ApiServer
  readonly #agent = new Agent({
    keepAlive: true,
    keepAliveMsecs: PROBE_AFTER_MS,
    maxSockets: MAX_SOCKETS,
    scheduling: 'lifo',
  })

  constructor(server: ApiServer) {
    this.#server = server
  }

  async send(call: OutgoingCall): Promise<IncomingAnswer> {
    const what = `${call.method} ${call.path.split('?')[0] ?? ''}`
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#once(call)
      } catch (error) {
        // The server may close an idle connection in the moment it is used again: no answer began, so reading again is safe.
        const raced = error instanceof ReusedConnectionError && call.method === 'GET' && attempt < 3
        if (!raced || call.signal.aborted) {
          throw failureOf(error instanceof ReusedConnectionError ? error.cause : error, call.signal, what)
        }
      }
    }
  }

  close(): void {
    this.#agent.destroy()
  }

  #once(call: OutgoingCall): Promise<IncomingAnswer> {
    return new Promise((resolve, reject) => {
      const outgoing = request({
        ...tlsOptions(this.#server, call.access),
        agent: call.freshConnection ? false : this.#agent,
        method: call.method,
        path: call.path,
        headers: call.headers,
        signal: call.signal,
      })
      outgoing.once('socket', (socket) => {
        socket.setKeepAlive(true, PROBE_AFTER_MS)
        boundConnecting(socket)
      })
      outgoing.once('response', (answer) => {
        resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body: answer })
      })
      outgoing.on('error', (error) => {
        reject(outgoing.reusedSocket ? new ReusedConnectionError('reused', { cause: error }) : error)
      })
      outgoing.end(call.body)
    })
  }
}

class ReusedConnectionError extends Error {}

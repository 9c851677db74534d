// The TLS side of a worker: which name belongs to whom, and the handshakes. A raw connection comes in, its ClientHello
// is read, the name decides certificate, versions and client authorities, and a secure socket comes out or nothing.
// Built by worker.ts; replaced tenant by tenant on activation; serve/listener.ts hands it connections.
import type { Socket } from 'node:net'
import type { Server, TLSSocket } from 'node:tls'
import { canonicalHost } from '../../model/host.ts'
import { tupleKey } from '../../model/resources.ts'
import type { TenantShard } from '../../model/snapshot.ts'
import { NameIndex } from '../build/name-index.ts'
import type { ConnectionTls } from '../runtime/carrier.ts'
import { MAX_HELLO_LENGTH, readClientHello } from './client-hello.ts'
import {
  type CertificateMaterial,
  createHandshakeServer,
  handshakeObstacle,
  type HostIdentity,
  identitiesOf,
} from './host-identity.ts'
import { RecentList } from './recent-list.ts'
import type { TlsFront } from './tls-types.ts'

/** Settings of a TlsTable. Times in milliseconds. */
export interface TlsTableOptions {
  /** Shown for names that nobody has, for clients that send none, and for hosts without a certificate of their own. */
  readonly defaultCertificate?: CertificateMaterial
  /** Contexts kept, 30 KB each. Default 10,000. */
  readonly maxContexts?: number
  /** From the connection to the end of the handshake. Default 5,000. */
  readonly handshakeTimeout?: number
  /**
   * Handshakes that run at once; half of them at most for the names of one tenant. Default 1,024. Where all places are
   * taken, one who has said nothing yet goes for whoever comes, or one who was asked and does not answer.
   */
  readonly maxHandshakes?: number
  /** How long a connection may finish its work once its client certificate counts no longer. Default 20,000. */
  readonly revocationGrace?: number
  /** Runs a handshake of a tenant ('' for nobody's name). Default: at once. Fair sharing queues here. */
  readonly schedule?: (tenant: string, run: () => void) => void
  /** Told why a host cannot serve TLS: its material does not load. Never the material. */
  readonly onProblem?: (tenant: string, host: string, message: string) => void
}

/** One connection on its way through the handshake. */
interface Handshake {
  readonly socket: Socket
  readonly ready: (secure: TLSSocket) => void
  readonly timer: NodeJS.Timeout
  /** Monotonic milliseconds. */
  readonly startedAt: number
  /** Owner of the name, once it is known. */
  tenant: string | undefined
  serverName: string
  identity: HostIdentity | undefined
  done: boolean
}

/** A connection whose handshake has ended. */
interface Established {
  readonly secure: TLSSocket
  readonly description: ConnectionTls
  closing: boolean
}

/** Milliseconds after which a handshake may lose its place: three round trips to the far end of the world. */
const STALLED_AFTER = 1_000

const ALERT_HANDSHAKE_FAILURE = 40
const ALERT_UNRECOGNIZED_NAME = 112

/** Implements TlsFront over the shards of all tenants that this worker serves. */
export class TlsTable implements TlsFront {
  readonly #options: TlsTableOptions
  readonly #names = new NameIndex<HostIdentity>()
  readonly #byTenant = new Map<string, readonly HostIdentity[]>()
  /** By host; a host's own identity is the key, so what is replaced is never found again. */
  readonly #servers: RecentList<object, Server | null>
  /** The key of the server for names that nobody has. */
  readonly #nobody = {}
  /** By the four ends of the connection: node tells a secure socket's listener nothing else that both sides know. */
  readonly #running = new Map<string, Handshake>()
  /** Those whose name is known, by its tenant, the oldest first. */
  readonly #runningOf = new Map<string, Set<Handshake>>()
  /** Those that have not said a name yet, the oldest first. */
  readonly #silent = new Set<Handshake>()
  readonly #established = new WeakMap<TLSSocket, Established>()
  /** Open connections by the tenant of their name. */
  readonly #open = new Map<string, Set<Established>>()
  #handshaking = 0

  constructor(options: TlsTableOptions = {}) {
    this.#options = options
    this.#servers = new RecentList(options.maxContexts ?? 10_000)
  }

  get handshaking(): number {
    return this.#handshaking
  }

  /** Contexts in memory now. */
  get contexts(): number {
    return this.#servers.size
  }

  /** Puts a tenant's hosts in place, or takes the tenant out. Open connections stay, except revoked ones. */
  replace(tenant: string, shard: TenantShard | undefined): void {
    const before = this.#byTenant.get(tenant) ?? []
    const known = new Map(before.map((identity) => [identity.host, identity]))
    const after = (shard === undefined ? [] : identitiesOf(shard)).map((identity) => {
      const present = known.get(identity.host)
      if (present === undefined || !sameIdentity(present, identity)) return identity
      known.delete(identity.host)
      return present
    })
    this.#names.replace(before, after)
    if (after.length === 0) this.#byTenant.delete(tenant)
    else this.#byTenant.set(tenant, after)
    for (const gone of known.values()) this.#servers.delete(gone)
    this.#endRevoked(tenant)
  }

  accept(socket: Socket, ready: (secure: TLSSocket) => void): void {
    // A socket without this listener ends the process when the client resets it.
    socket.on('error', () => socket.destroy())
    if (this.#handshaking >= this.#maxHandshakes && !this.#makeRoom()) {
      socket.destroy()
      return
    }
    this.#handshaking += 1
    const handshake: Handshake = {
      socket,
      ready,
      timer: setTimeout(() => socket.destroy(), this.#handshakeTimeout),
      startedAt: performance.now(),
      tenant: undefined,
      serverName: '',
      identity: undefined,
      done: false,
    }
    this.#silent.add(handshake)
    socket.once('close', () => this.#finish(handshake))
    readHello(socket, (serverName) => {
      if (serverName === undefined) socket.destroy()
      else this.#greet(handshake, serverName)
    })
  }

  describe(secure: TLSSocket): ConnectionTls {
    return (
      this.#established.get(secure)?.description ?? {
        serverName: '',
        tenant: '',
        version: '',
        cipher: '',
        verifiedAgainst: '',
      }
    )
  }

  revoked(secure: TLSSocket): boolean {
    const established = this.#established.get(secure)
    return established === undefined || this.#isRevoked(established.description)
  }

  get #handshakeTimeout(): number {
    return this.#options.handshakeTimeout ?? 5_000
  }

  get #maxHandshakes(): number {
    return this.#options.maxHandshakes ?? 1_024
  }

  /** Takes a place from who holds it for nothing. A client says its name with its first packet. */
  #makeRoom(): boolean {
    for (const handshake of this.#silent) return this.#evict(handshake)
    for (const running of this.#runningOf.values()) if (this.#endStalled(running)) return true
    return false
  }

  #endStalled(running: ReadonlySet<Handshake>): boolean {
    for (const handshake of running) {
      return performance.now() - handshake.startedAt > STALLED_AFTER && this.#evict(handshake)
    }
    return false
  }

  #evict(handshake: Handshake): true {
    handshake.socket.destroy()
    this.#finish(handshake)
    return true
  }

  /** The name is known: whose is it, may another handshake of theirs run, and then run it. */
  #greet(handshake: Handshake, rawName: string): void {
    if (handshake.done) return
    const name = canonicalName(rawName)
    if (name === undefined) {
      refuse(handshake.socket, ALERT_UNRECOGNIZED_NAME)
      return
    }
    const identity = name === '' ? undefined : this.#names.lookup(name)
    const tenant = identity?.tenant ?? ''
    const running = this.#runningOf.get(tenant) ?? new Set()
    if (running.size >= Math.max(1, this.#maxHandshakes / 2) && !this.#endStalled(running)) {
      handshake.socket.destroy()
      return
    }
    this.#silent.delete(handshake)
    this.#runningOf.set(tenant, running)
    running.add(handshake)
    handshake.tenant = tenant
    handshake.serverName = name
    handshake.identity = identity
    const schedule = this.#options.schedule
    if (schedule === undefined) this.#run(handshake)
    else schedule(tenant, () => this.#run(handshake))
  }

  #run(handshake: Handshake): void {
    const { socket, identity } = handshake
    const key = connectionKey(socket)
    if (handshake.done || key === undefined) {
      socket.destroy()
      return
    }
    const server = this.#serverOf(identity)
    if (server === null) {
      refuse(socket, identity === undefined ? ALERT_UNRECOGNIZED_NAME : ALERT_HANDSHAKE_FAILURE)
      return
    }
    this.#running.set(key, handshake)
    socket.once('close', () => {
      if (this.#running.get(key) === handshake) this.#running.delete(key)
    })
    server.emit('connection', socket)
  }

  /** The server for a host, made at the first handshake. null: no certificate, closed, or material that does not load. */
  #serverOf(identity: HostIdentity | undefined): Server | null {
    const key = identity ?? this.#nobody
    const present = this.#servers.get(key)
    if (present !== undefined) return present
    const server = this.#createServer(identity)
    this.#servers.set(key, server)
    return server
  }

  #createServer(identity: HostIdentity | undefined): Server | null {
    const fallback = this.#options.defaultCertificate
    if (handshakeObstacle(identity, fallback !== undefined) !== undefined) return null
    const validation = identity?.clientValidation ?? null
    const own = identity?.certificates ?? []
    const certificates = own.length > 0 || fallback === undefined ? own : [fallback]
    try {
      const server = createHandshakeServer(
        certificates,
        identity?.minVersion ?? '1.2',
        validation,
        this.#handshakeTimeout,
      )
      server.on('secureConnection', (secure: TLSSocket) => this.#secured(secure))
      server.on('tlsClientError', (_error: Error, secure: TLSSocket) => secure.destroy())
      return server
    } catch (error) {
      const message = error instanceof Error ? error.message : 'unknown'
      this.#options.onProblem?.(identity?.tenant ?? '', identity?.host ?? '', message)
      return null
    }
  }

  #secured(secure: TLSSocket): void {
    secure.on('error', () => secure.destroy())
    const key = connectionKey(secure)
    const handshake = key === undefined ? undefined : this.#running.get(key)
    if (key === undefined || handshake === undefined) {
      secure.destroy()
      return
    }
    this.#running.delete(key)
    this.#finish(handshake)
    const description = describeSocket(secure, handshake)
    // The world may have changed since the ClientHello: what counts is what holds now.
    if (description === undefined || this.#isRevoked(description)) {
      secure.destroy()
      return
    }
    this.#keep({ secure, description, closing: false })
    handshake.ready(secure)
  }

  #keep(established: Established): void {
    const { tenant } = established.description
    const open = this.#open.get(tenant) ?? new Set()
    this.#open.set(tenant, open)
    open.add(established)
    this.#established.set(established.secure, established)
    established.secure.once('close', () => {
      open.delete(established)
      if (open.size === 0 && this.#open.get(tenant) === open) this.#open.delete(tenant)
    })
  }

  /** Gives back the places of a handshake, once, however it ended. */
  #finish(handshake: Handshake): void {
    if (handshake.done) return
    handshake.done = true
    clearTimeout(handshake.timer)
    this.#handshaking -= 1
    this.#silent.delete(handshake)
    const running = handshake.tenant === undefined ? undefined : this.#runningOf.get(handshake.tenant)
    running?.delete(handshake)
    if (running?.size === 0 && handshake.tenant !== undefined) this.#runningOf.delete(handshake.tenant)
  }

  #isRevoked(description: ConnectionTls): boolean {
    const identity = description.serverName === '' ? undefined : this.#names.lookup(description.serverName)
    const validation = identity?.clientValidation ?? null
    if (validation === null) return description.verifiedAgainst !== ''
    if (validation.authorities.length === 0) return true
    if (description.verifiedAgainst === '') return validation.mode === 'Require'
    return identity?.tenant !== description.tenant || description.verifiedAgainst !== validation.authorityKey
  }

  #endRevoked(tenant: string): void {
    const ending = [...(this.#open.get(tenant) ?? [])].filter(
      (established) => !established.closing && this.#isRevoked(established.description),
    )
    if (ending.length === 0) return
    for (const established of ending) established.closing = true
    const end = () => {
      for (const { secure } of ending) secure.destroy()
    }
    setTimeout(end, this.#options.revocationGrace ?? 20_000).unref()
  }
}

/** SNI has neither ports nor addresses (RFC 6066 section 3). undefined: no name that anybody could have. */
function canonicalName(raw: string): string | undefined {
  if (raw === '') return ''
  return /[:[\]]/.test(raw) ? undefined : canonicalHost(raw)
}

function sameIdentity(a: HostIdentity, b: HostIdentity): boolean {
  return (
    a.settings === b.settings &&
    a.clientValidation?.authorities.length === b.clientValidation?.authorities.length &&
    a.certificates.length === b.certificates.length
  )
}

function describeSocket(secure: TLSSocket, handshake: Handshake): ConnectionTls | undefined {
  const validation = handshake.identity?.clientValidation ?? null
  let verifiedAgainst = ''
  if (validation !== null) {
    // Optional means that a client may come without a certificate, not that it may come with a bad one.
    if (secure.authorized) verifiedAgainst = validation.authorityKey
    else if (validation.mode === 'Require' || secure.getPeerX509Certificate() !== undefined) return undefined
  }
  return {
    serverName: handshake.serverName,
    tenant: handshake.tenant ?? '',
    version: secure.getProtocol() ?? '',
    cipher: secure.getCipher().standardName,
    verifiedAgainst,
  }
}

/** Collects bytes until the ClientHello is whole, puts them back, and tells the name; undefined for anything else. */
function readHello(socket: Socket, found: (serverName: string | undefined) => void): void {
  const chunks: Buffer[] = []
  let length = 0
  let wanted = 0
  const stop = (serverName: string | undefined) => {
    socket.off('data', onData)
    socket.off('end', onEnd)
    socket.pause()
    if (serverName !== undefined) socket.unshift(Buffer.concat(chunks, length))
    found(serverName)
  }
  const onEnd = () => stop(undefined)
  const onData = (chunk: Buffer) => {
    chunks.push(chunk)
    length += chunk.length
    // One byte at a time costs one comparison each, not one parse.
    if (length < wanted) return
    const result = readClientHello(Buffer.concat(chunks, length))
    if (result.type === 'more' && length < MAX_HELLO_LENGTH * 2) wanted = result.length
    else stop(result.type === 'hello' ? result.serverName : undefined)
  }
  socket.on('data', onData)
  socket.on('end', onEnd)
  socket.resume()
}

/** Ends a connection with a fatal alert (RFC 8446 section 6) where the handshake has not begun. */
function refuse(socket: Socket, alert: number): void {
  socket.write(Uint8Array.of(21, 3, 3, 0, 2, 2, alert))
  socket.destroySoon()
}

/** The four ends of a TCP connection; undefined where it is gone. */
function connectionKey(socket: Socket): string | undefined {
  const { remoteAddress, remotePort, localAddress, localPort } = socket
  if (remoteAddress === undefined || localAddress === undefined) return undefined
  return tupleKey([remoteAddress, String(remotePort), localAddress, String(localPort)])
}

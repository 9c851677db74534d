// Shards and pools as lines of text, and back: hash checked, every field known, private keys in the clear because both
// ends are known by certificate. Pure. controller/publish/content.ts writes lines, dataplane/receive reads them.
import { canonicalText, type Digest } from './canonical.ts'
import { Hidden } from './hidden.ts'
import { poolIdShape, poolShape } from './push.ts'
import type { AuthorityFacts, CertificateFacts } from './resources.ts'
import type { EntryKind } from './root-hash.ts'
import { hashShard } from './shard-hash.ts'
import { anything, fields, flag, list, orNull, readShape, type Shape, text, variant, whole, word } from './shape.ts'
import { type Pool, poolKey, type TenantShard } from './snapshot.ts'

/** A certificate as it travels. */
type WireCertificate = Omit<CertificateFacts, 'keyPem'> & { readonly keyPem: string }

/** A shard as it travels: lists instead of maps, keys revealed. Never print one. */
export type PushShard = Omit<TenantShard, 'certificates' | 'authorities'> & {
  readonly certificates: readonly WireCertificate[]
  readonly authorities: readonly AuthorityFacts[]
}

const MANY = 100_000
const NAME = 253
const VALUE = 65_536
const PEM_LENGTH = 4 * 1024 * 1024
const hash = text(64, /^[0-9a-f]{64}$/)
const name = text(NAME)
const value = text(VALUE)

const valueMatch = fields({ name: value, type: word('Exact', 'RegularExpression'), value })
const match = fields({
  path: fields({ type: word('Exact', 'PathPrefix', 'RegularExpression'), value }),
  method: orNull(name),
  headers: list(valueMatch, MANY),
  queryParams: list(valueMatch, MANY),
  route: whole(0),
  index: whole(0),
})
const hostTls = fields({
  certificates: list(hash, MANY),
  minVersion: word('1.2', '1.3'),
  plainHTTP: word('Redirect', 'Serve', 'Refuse'),
  clientValidation: orNull(
    fields({ authorities: list(hash, MANY), mode: word('Require', 'Optional'), closed: flag() }),
  ),
})
const poolHead = fields({ id: poolIdShape, hash, endpoints: anything() })
/** Shape of a host. */
export const hostShape = fields({ host: name, tls: orNull(hostTls), matches: list(match, MANY) })
const backend = fields({
  weight: whole(0),
  pool: orNull(poolIdShape),
  service: fields({ namespace: name, name, port: name }),
})
const pathChange = variant({ ReplaceFullPath: { value }, ReplacePrefixMatch: { value } })
const redirect = fields({
  scheme: orNull(word('http', 'https')),
  hostname: orNull(name),
  path: orNull(pathChange),
  port: orNull(whole(0, 65_535)),
  statusCode: whole(100, 599),
})
const headerValue = fields({ name: value, value })
const headers = fields({ set: list(headerValue, MANY), add: list(headerValue, MANY), remove: list(value, MANY) })
/** Shape of a rule. */
export const routeShape = fields({
  id: fields({ tenant: name, namespace: name, route: name, rule: whole(0), ruleName: name }),
  action: variant({
    forward: { backends: list(backend, MANY) },
    redirect: { redirect },
    unavailable: { error: word('PolicyNotReady', 'NoHealthyEndpoint') },
  }),
  rewrite: orNull(fields({ hostname: orNull(name), path: orNull(pathChange) })),
  requestHeaders: orNull(headers),
  responseHeaders: orNull(headers),
  // The config belongs to the policy, whose filter looks at it; a policy that is not known fails there by name.
  filters: list(fields({ policy: name, config: anything(), origins: list(value, MANY) }), MANY),
  balance: word('LeastConnections', 'RoundRobin'),
  timeouts: fields({
    request: orNull(whole(0)),
    backendRequest: whole(0),
    connect: whole(0),
    idle: whole(0),
  }),
  retry: fields({ attempts: whole(0), onConnectFailure: flag(), backoff: whole(0) }),
  passiveHealth: fields({ consecutiveFailures: whole(0), ejectFor: whole(0), maxEjectedPercent: whole(0) }),
})
/** Shape of a tenant's limits. */
export const limitsShape = fields({
  requests: orNull(fields({ count: whole(0), seconds: whole(0), burst: whole(0) })),
  concurrency: orNull(whole(0)),
  connections: orNull(whole(0)),
  bodySize: whole(0),
})
const shardShape: Shape<PushShard> = fields({
  tenant: name,
  hash,
  suspended: flag(),
  limits: limitsShape,
  hosts: list(hostShape, MANY),
  routes: list(routeShape, MANY),
  certificates: list(
    fields(
      {
        names: list(value, MANY),
        notBefore: whole(Number.MIN_SAFE_INTEGER),
        notAfter: whole(Number.MIN_SAFE_INTEGER),
        fingerprint: hash,
        chainPem: text(PEM_LENGTH),
        keyPem: text(PEM_LENGTH),
      },
      { problem: value },
    ),
    MANY,
  ),
  authorities: list(
    fields(
      {
        count: whole(0),
        notAfter: whole(Number.MIN_SAFE_INTEGER),
        fingerprint: hash,
        pem: text(PEM_LENGTH),
      },
      { problem: value },
    ),
    MANY,
  ),
})

/** The line of a shard, without the line's end. Reveals private keys: only ever written to a peer that was checked. */
export function shardLine(shard: TenantShard): string {
  const wire: PushShard = {
    ...shard,
    certificates: [...shard.certificates.values()].map(({ keyPem, ...facts }) => ({
      ...facts,
      keyPem: keyPem.reveal(),
    })),
    authorities: [...shard.authorities.values()],
  }
  return JSON.stringify({ shard: wire })
}

/** The line of a pool, without the line's end. */
export function poolLine(pool: Pool): string {
  return JSON.stringify({ pool })
}

/** What a line of content holds. */
export type ContentLine =
  | { readonly type: 'shard'; readonly tenant: string; readonly hash: string; readonly shard: TenantShard }
  | { readonly type: 'pool'; readonly key: string; readonly hash: string; readonly pool: Pool }
  /** Whole and true, and not understood: nothing new of this tenant is taken, with this message. */
  | {
      readonly type: 'unknown'
      readonly kind: EntryKind
      /** Tenant of a shard, poolKey of a pool. */
      readonly name: string
      readonly tenant: string
      readonly hash: string
      readonly message: string
    }

/**
 * Reads a line that was parsed as JSON. Returns a sentence where it is damaged: no shard and no pool, or the hash in it
 * is not that of its content.
 * @param digest SHA-256 in hexadecimal.
 */
export function readContentLine(parsed: unknown, digest: Digest): ContentLine | string {
  if (typeof parsed !== 'object' || parsed === null) return 'a line that is no object'
  const { shard, pool } = parsed as { readonly shard?: unknown; readonly pool?: unknown }
  if (shard !== undefined) return readShard(shard, digest)
  return pool === undefined ? 'a line that is neither shard nor pool' : readPool(pool, digest)
}

function readShard(parsed: unknown, digest: Digest): ContentLine | string {
  if (typeof parsed !== 'object' || parsed === null) return 'a shard that is no object'
  const { tenant, hash } = parsed as { readonly tenant?: unknown; readonly hash?: unknown }
  if (typeof tenant !== 'string' || typeof hash !== 'string') return 'a shard without tenant or hash'
  if (hashOfShard(parsed as Record<string, unknown>, digest) !== hash) return 'a shard whose content has another hash'
  const read = readShape(shardShape, parsed)
  if (typeof read !== 'string') {
    if (!isSound(read.value)) return 'a shard of which something is not its own'
    return { type: 'shard', tenant, hash, shard: toShard(read.value) }
  }
  return { type: 'unknown', kind: 'shard', name: tenant, tenant, hash, message: unknownMessage(read) }
}

/** The hash of a shard as it travels: over everything but itself, certificates and authorities by fingerprint. */
export function hashOfShard(parsed: Record<string, unknown>, digest: Digest): string {
  const { hash: _, hosts, routes, certificates, authorities, ...head } = parsed
  const lists = [hosts, routes].map((list): readonly unknown[] => (Array.isArray(list) ? list : []))
  // What is no list is read by nobody, and counts all the same.
  const strange = { ...(Array.isArray(hosts) ? {} : { hosts }), ...(Array.isArray(routes) ? {} : { routes }) }
  return hashShard(
    {
      head: { ...head, ...strange },
      hosts: lists[0] ?? [],
      routes: lists[1] ?? [],
      certificates: fingerprints(certificates),
      authorities: fingerprints(authorities),
    },
    digest,
  )
}

/**
 * Whether everything in a shard is its tenant's own, and every match leads to a rule. Whoever publishes sees to it; whoever
 * receives does not rely on that.
 */
export function isSound({ tenant, hosts, routes }: Pick<TenantShard, 'tenant' | 'hosts' | 'routes'>): boolean {
  return (
    hosts.every(({ matches }) => matches.every(({ route }) => route < routes.length)) &&
    routes.every(
      ({ id, action }) =>
        id.tenant === tenant &&
        (action.type !== 'forward' || action.backends.every(({ pool }) => pool === null || pool.tenant === tenant)),
    )
  )
}

function fingerprints(items: unknown): readonly string[] {
  if (!Array.isArray(items)) return []
  return items.map((item: unknown) => String((item as { readonly fingerprint?: unknown } | null)?.fingerprint))
}

function toShard({ certificates, authorities, ...rest }: PushShard): TenantShard {
  return {
    ...rest,
    certificates: new Map(
      certificates.map(({ keyPem, ...facts }) => [facts.fingerprint, { ...facts, keyPem: new Hidden(keyPem) }]),
    ),
    authorities: new Map(authorities.map((facts) => [facts.fingerprint, facts])),
  }
}

function readPool(parsed: unknown, digest: Digest): ContentLine | string {
  const head = readShape(poolHead, parsed)
  if (typeof head === 'string') return `a pool of which ${head}`
  const { id, hash } = head.value
  if (digest(canonicalText([id, head.value.endpoints])) !== hash) return 'a pool whose content has another hash'
  const key = poolKey(id)
  const read = readShape(poolShape, parsed)
  if (typeof read !== 'string') return { type: 'pool', key, hash, pool: read.value }
  return { type: 'unknown', kind: 'pool', name: key, tenant: id.tenant, hash, message: unknownMessage(read) }
}

function unknownMessage(problem: string): string {
  return `it asks for what this dataplane does not know: ${problem}`
}

// What controller and dataplane pods say to each other, as types, checks and bounds. Pure. Four steps: the publisher
// shows a manifest, the pod answers what it lacks, only that is sent, then all of it becomes active at once. What is
// small goes in fewer: manifest and content in one call, and where it concerns few tenants, activation in the same.
// controller/publish writes it, dataplane/receive reads it; neither knows the other. Shards themselves: push-shard.ts.
//
// Two releases that meet. `format` is that of shards and pools; a pod names the formats it reads, the publisher writes
// the newest of them that it can. Inside a format a newer publisher may say things that an older pod does not know: a
// field or word that is not known refuses the shard of that tenant, by name, and the tenant keeps what it had. A new
// field is therefore left out of a shard where it has no effect. Messages of this file may gain optional fields in a new
// format only.
import { EMPTY_ROOT } from './root-hash.ts'
import {
  fields,
  flag,
  list,
  orNull,
  pair,
  readShape,
  type Shape,
  text,
  type ValueOf,
  variant,
  whole,
  word,
} from './shape.ts'
import { SNAPSHOT_FORMAT } from './snapshot.ts'

/** Formats of shards and pools that this build reads, newest first. */
export const FORMATS_READ: readonly number[] = [SNAPSHOT_FORMAT]

/** Bounds of what is taken from the other side. Bytes, unless the name says otherwise. */
export const PUSH_LIMITS = {
  manifest: 128 * 1024 * 1024,
  /** One line of content: one shard, keys included. */
  line: 64 * 1024 * 1024,
  content: 2 * 1024 * 1024 * 1024,
  /** The short roads; what is larger takes the long one. */
  endpoints: 4 * 1024 * 1024,
  change: 4 * 1024 * 1024,
  order: 4_096,
  answer: 64 * 1024 * 1024,
  shardsCount: 100_000,
  poolsCount: 1_000_000,
  refusedCount: 1_000,
  messageLength: 500,
  signingRequest: 16_384,
} as const

/** Paths of both listeners. */
export const PUSH_PATHS = {
  manifest: '/push/v1/manifest',
  content: '/push/v1/content',
  change: '/push/v1/change',
  /** The same, active at once where nothing is lacking. A release without it takes it for the one above. */
  changeAndActivate: '/push/v1/change?activate',
  activate: '/push/v1/activate',
  endpoints: '/push/v1/endpoints',
  pull: '/pull/v1/snapshot',
  position: '/pull/v1/position',
  sign: '/identity/v1/sign',
} as const

/** Media type of content and of a pulled set: a JSON value in each line. */
export const CONTENT_TYPE = 'application/x-ndjson'
/** Audience of the token with which a pod asks for its certificate. */
export const IDENTITY_AUDIENCE = 'atrium-identity'

const HASH = /^[0-9a-f]{64}$/
const DIGEST = /^[0-9a-f]{0,128}$/
const hash = text(64, HASH)
const tenantName = text(253)
const poolName = text(1_400)
const positionFields = { fence: whole(0), sequence: whole(0) }

/**
 * Where a set stands in time. `fence` rises by at least one whenever another controller becomes the leader, `sequence`
 * within a fence. Pods refuse whatever is lower than what they have.
 */
export interface Position {
  readonly fence: number
  readonly sequence: number
}

/** Negative where `a` is older, 0 where both are the same. */
export function comparePositions(a: Position, b: Position): number {
  return a.fence === b.fence ? a.sequence - b.sequence : a.fence - b.fence
}

/** A set of shards and pools, named by what is in it. */
const setShape = fields({
  ...positionFields,
  version: text(128, DIGEST),
  endpointsRevision: text(128, DIGEST),
  /** RootHash over all shards and pools. */
  root: hash,
})
export type SetName = ValueOf<typeof setShape>

/** What a pod has that was never given anything. */
export const NOTHING: SetName = { fence: 0, sequence: 0, version: '', endpointsRevision: '', root: EMPTY_ROOT }

const manifestFields = {
  ...positionFields,
  format: whole(1),
  release: text(253),
  /** Root of the set that this is a difference to; null: this names everything. */
  base: orNull(hash),
  version: text(128, DIGEST),
  endpointsRevision: text(128, DIGEST),
  /** Of the whole set that results. */
  root: hash,
  /** Tenant and hash; null: it goes away. */
  shards: list(pair(tenantName, orNull(hash)), PUSH_LIMITS.shardsCount),
  /** poolKey and hash; null: it goes away. */
  pools: list(pair(poolName, orNull(hash)), PUSH_LIMITS.poolsCount),
}
const manifestShape = fields(manifestFields)
/** Names everything of a set, or of the difference to a set, by hash. */
export type PushManifest = ValueOf<typeof manifestShape>

/** Why a pod takes nothing from a manifest. */
export type RefusalReason = 'Stale' | 'Base' | 'Format' | 'Release' | 'Root'
const refusalShape = fields({
  reason: word('Stale', 'Base', 'Format', 'Release', 'Root'),
  message: text(PUSH_LIMITS.messageLength),
})

const manifestAnswerShape = fields({
  active: setShape,
  /** Formats the pod reads. */
  formats: list(whole(1), 16),
  lacksShards: list(tenantName, PUSH_LIMITS.shardsCount),
  lacksPools: list(poolName, PUSH_LIMITS.poolsCount),
  refused: orNull(refusalShape),
})
export type ManifestAnswer = ValueOf<typeof manifestAnswerShape>

const contentAnswerShape = fields({
  shards: whole(0),
  pools: whole(0),
  /** Nothing is lacking any more. */
  complete: flag(),
})
export type ContentAnswer = ValueOf<typeof contentAnswerShape>

/** Makes the set that was shown and sent active. */
const activateShape = fields({ ...positionFields, root: hash })

const refusedTenants = list(
  fields({ tenant: tenantName, message: text(PUSH_LIMITS.messageLength) }),
  PUSH_LIMITS.refusedCount,
)
const acknowledgementShape = fields({
  active: setShape,
  /** Tenants whose newest shard the pod does not run, with the reason; they keep what they had. */
  refused: refusedTenants,
})
/** What is active in a pod. */
export type PushAcknowledgement = ValueOf<typeof acknowledgementShape>

/** Shape of a pool's identity, for content too. */
export const poolIdShape = fields({
  tenant: tenantName,
  namespace: text(253),
  service: text(253),
  port: whole(0, 65_535),
  tls: text(512),
})
/** Shape of a pool. */
export const poolShape = fields({
  id: poolIdShape,
  hash,
  endpoints: list(
    fields({
      address: text(45),
      port: whole(0, 65_535),
      zone: text(253),
      state: word('ready', 'draining'),
    }),
    100_000,
  ),
})

const endpointsShape = fields({ manifest: manifestShape, pools: list(poolShape, 10_000) })
/** The short road: a difference in pools alone, with the pools, in one call. */
export type EndpointsOrder = ValueOf<typeof endpointsShape>

const shortAnswerShape = variant({
  /** Active now. */
  active: { acknowledgement: acknowledgementShape },
  /** Nothing became active; the long road is needed, or nothing at all. */
  refused: { answer: manifestAnswerShape },
})
/** To one of the short roads that end in activation. */
export type ShortAnswer = ValueOf<typeof shortAnswerShape>

/** A pod tells what it has, and that it is there, under its name, listening on a port of the address of the call. */
const positionQueryShape = fields({ active: setShape, name: text(253), port: whole(1, 65_535) })
const positionAnswerShape = fields({
  /** The newest set of the controller asked; null before it has one. */
  newest: orNull(setShape),
  /** Whether this controller is the leader, which pushes. */
  leads: flag(),
})
export type PositionAnswer = ValueOf<typeof positionAnswerShape>

const signingRequestShape = fields({
  /** PEM, PKCS #10. Nothing of it is used but the key. */
  csr: text(8_192, /^-----BEGIN CERTIFICATE REQUEST-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE REQUEST-----\s*$/),
  /** On which it listens; 0 where it does not know yet. */
  port: whole(0, 65_535),
})

const PEM = /^[-A-Za-z0-9+/=\s]*$/
const signingAnswerShape = fields({
  /** Leaf, PEM. */
  certificate: text(16_384, PEM),
  /** Authorities to trust, PEM. */
  authorities: text(131_072, PEM),
})
export type SigningAnswer = ValueOf<typeof signingAnswerShape>

const problemShape = fields({ error: text(64), message: text(2_000) })
/** Body of every answer that is not 200. */
export type PushProblem = ValueOf<typeof problemShape>

/** Reads one kind of message: the value, or one sentence that says what is wrong. */
export type Reader<Value> = (value: unknown) => { readonly value: Value } | string

function reader<Value>(shape: Shape<Value>): Reader<Value> {
  return (value) => readShape(shape, value)
}

export const readManifest = reader(manifestShape)
export const readManifestAnswer = reader(manifestAnswerShape)
export const readContentAnswer = reader(contentAnswerShape)
export const readActivateOrder = reader(activateShape)
export const readAcknowledgement = reader(acknowledgementShape)
export const readEndpointsOrder = reader(endpointsShape)
export const readShortAnswer = reader(shortAnswerShape)
export const readPositionQuery = reader(positionQueryShape)
export const readPositionAnswer = reader(positionAnswerShape)
export const readSigningRequest = reader(signingRequestShape)
export const readSigningAnswer = reader(signingAnswerShape)
export const readPushProblem = reader(problemShape)

/** Answer to `changeAndActivate`: that of a release without it is one to a manifest. */
export const readChangeAnswer: Reader<ShortAnswer> = (value) => {
  if (typeof value === 'object' && value !== null && 'type' in value) return readShortAnswer(value)
  const read = readManifestAnswer(value)
  return typeof read === 'string' ? read : { value: { type: 'refused', answer: read.value } }
}

/** Refused tenants as they may be sent: not too many, no message too long. */
export function boundRefused(refused: PushAcknowledgement['refused']): PushAcknowledgement['refused'] {
  return refused
    .slice(0, PUSH_LIMITS.refusedCount)
    .map(({ tenant, message }) => ({ tenant, message: message.slice(0, PUSH_LIMITS.messageLength) }))
}

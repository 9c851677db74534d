// The calls of a controller that change what a pod serves: manifest, content, activate, and the short roads: manifest and
// content at once for a small change, with activation where it is asked for, and everything at once for endpoints.
// Only a controller of the release gets here. staging.ts decides; this file carries.
import { Readable } from 'node:stream'
import type { FastifyReply } from 'fastify'
import {
  type ContentAnswer,
  comparePositions,
  type ManifestAnswer,
  type Position,
  PUSH_LIMITS,
  PUSH_PATHS,
  type PushManifest,
  type Reader,
  readActivateOrder,
  readEndpointsOrder,
  readManifest,
  type ShortAnswer,
} from '../../model/push.ts'
import { BadLines, readJsonLines } from '../../peer/lines.ts'
import { type PeerApp, problem, requireRole } from '../../peer/listener.ts'
import { ContentRefused, type Staging } from './staging.ts'

/** Milliseconds of work in one turn of the loop. */
const SLICE = 8

/** Puts the routes in. */
export function addPushRoutes(app: PeerApp, release: string, staging: Staging): void {
  const onRequest = requireRole(release, 'controller')
  const limit = (bodyLimit: number) => ({ onRequest, bodyLimit })
  app.post(PUSH_PATHS.manifest, limit(PUSH_LIMITS.manifest), async (request, reply) =>
    attempt(reply, request.body, readManifest, (manifest) => staging.propose(manifest)),
  )
  app.post(PUSH_PATHS.content, limit(PUSH_LIMITS.content), async (request, reply) => {
    const position = readPosition(request.query)
    const { body } = request
    if (position === undefined || !(body instanceof Readable)) {
      return await problem(reply, 400, 'Request', 'send JSON lines to ?fence=…&sequence=…')
    }
    return await guarded(reply, () => takeContent(staging, position, body), body)
  })
  app.post(PUSH_PATHS.change, limit(PUSH_LIMITS.change), async (request, reply) => {
    const { body } = request
    if (!(body instanceof Readable)) return await problem(reply, 400, 'Request', 'send JSON lines')
    const { activate } = request.query as { readonly activate?: unknown }
    const take = activate === undefined ? takeChange : activateChange
    return await guarded(reply, () => take(staging, body), body)
  })
  app.post(PUSH_PATHS.activate, limit(PUSH_LIMITS.order), async (request, reply) =>
    attempt(reply, request.body, readActivateOrder, (order) => staging.activate(order, order.root)),
  )
  app.post(PUSH_PATHS.endpoints, limit(PUSH_LIMITS.endpoints), async (request, reply) =>
    attempt(reply, request.body, readEndpointsOrder, (order) => staging.applyEndpoints(order)),
  )
}

/** Takes content line by line. Throws ContentRefused and BadLines. */
async function takeContent(staging: Staging, position: Position, body: Readable): Promise<ContentAnswer> {
  const counts = { shards: 0, pools: 0 }
  let from = performance.now()
  for await (const line of readJsonLines(body, { line: PUSH_LIMITS.line, total: PUSH_LIMITS.content })) {
    counts[staging.accept(position, line) === 'shard' ? 'shards' : 'pools']++
    if (performance.now() - from < SLICE) continue
    await new Promise((resolve) => setImmediate(resolve))
    from = performance.now()
  }
  return { ...counts, complete: staging.lacking(position) === 0 }
}

/** Takes a manifest and what it leads to. What is lacking after that goes the long road. Throws as `takeContent`. */
async function takeChange(staging: Staging, body: Readable): Promise<ManifestAnswer> {
  return (await readChange(staging, body)).answer
}

/** As `takeChange`, and makes it active where nothing is lacking. */
async function activateChange(staging: Staging, body: Readable): Promise<ShortAnswer> {
  const { manifest, answer } = await readChange(staging, body)
  const { refused, lacksShards, lacksPools } = answer
  if (refused !== null || lacksShards.length + lacksPools.length > 0) return { type: 'refused', answer }
  return { type: 'active', acknowledgement: await staging.activate(manifest, manifest.root) }
}

async function readChange(
  staging: Staging,
  body: Readable,
): Promise<{ readonly manifest: PushManifest; readonly answer: ManifestAnswer }> {
  const lines = readJsonLines(body, { line: PUSH_LIMITS.change, total: PUSH_LIMITS.change })
  const { value: head, done } = await lines.next()
  if (done === true) throw new BadLines('there is no manifest')
  const read = readManifest(head.value)
  if (typeof read === 'string') throw new BadLines(`the manifest makes no sense: ${read}`)
  const manifest = read.value
  const answer = await staging.propose(manifest)
  const isActive = comparePositions(answer.active, manifest) === 0
  let from = performance.now()
  for await (const line of lines) {
    if (answer.refused === null && !isActive) staging.accept(manifest, line)
    if (performance.now() - from < SLICE) continue
    await new Promise((resolve) => setImmediate(resolve))
    from = performance.now()
  }
  return { manifest, answer: answer.refused === null && !isActive ? staging.lacks(manifest) : answer }
}

async function attempt<Value>(
  reply: FastifyReply,
  body: unknown,
  reader: Reader<Value>,
  run: (value: Value) => Promise<unknown>,
): Promise<unknown> {
  const read = reader(body)
  if (typeof read === 'string') return await problem(reply, 400, 'Request', `the message makes no sense: ${read}`)
  return await guarded(reply, () => run(read.value))
}

async function guarded(reply: FastifyReply, run: () => Promise<unknown>, body?: Readable): Promise<unknown> {
  try {
    return await run()
  } catch (error) {
    // What still comes is thrown away, so that the answer arrives: a caller that writes does not read.
    body?.resume()
    if (error instanceof ContentRefused) return await problem(reply, 409, error.code, error.message)
    if (error instanceof BadLines) return await problem(reply, 400, 'Request', error.message)
    throw error
  }
}

function readPosition(query: unknown): Position | undefined {
  const { fence, sequence } = query as { readonly fence?: unknown; readonly sequence?: unknown }
  const position = { fence: toCount(fence), sequence: toCount(sequence) }
  return Number.isSafeInteger(position.fence) && Number.isSafeInteger(position.sequence) ? position : undefined
}

function toCount(text: unknown): number {
  return typeof text === 'string' && /^[0-9]{1,16}$/.test(text) ? Number(text) : Number.NaN
}

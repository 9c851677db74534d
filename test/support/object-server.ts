// An API server in memory, as far as those who write to one need it: versions, generations, conflicts, merge patches,
// the status subresource, lists by label. No sockets. Tests of lease, stores, the status writer and grants use it.
import type { ApiCall, ApiCalls, ApiResult } from '../../controller/api-calls.ts'

export type StoredObject = Record<string, unknown> & { metadata: Record<string, unknown> }

/** What a test may do to a call: answer in its place, throw, or wait; undefined lets it pass. */
export type Interference = (call: ApiCall) => Promise<ApiResult | undefined> | ApiResult | undefined

/** Objects by path. */
export class ObjectServer implements ApiCalls {
  readonly objects = new Map<string, StoredObject>()
  /** All calls that arrived, oldest first. */
  readonly calls: ApiCall[] = []
  interfere: Interference = () => undefined
  #version = 100

  async request(call: ApiCall): Promise<ApiResult> {
    this.calls.push(call)
    const answer = await this.interfere(call)
    // As over a socket: nothing of the caller's is shared.
    return answer ?? { ...structuredClone(this.#serve(structuredClone(call))), serverTime: Date.now() }
  }

  /** Puts an object as somebody else would. `path` is that of the object. */
  put(path: string, object: Record<string, unknown>): StoredObject {
    const name = path.split('/').at(-1) ?? ''
    const metadata = { name, generation: 1, uid: `uid-${name}`, ...Object(object['metadata']) }
    return this.#store(path, { ...object, metadata })
  }

  #serve({ method = 'GET', path, query, body, contentType }: ApiCall): ApiResult {
    const isStatus = path.endsWith('/status')
    const at = isStatus ? path.slice(0, -'/status'.length) : path
    const there = this.objects.get(at)
    if (method === 'POST') return this.#create(path, record(body))
    if (there === undefined)
      return method === 'GET' && !isName(path) ? this.#list(path, query) : failure(404, 'NotFound')
    if (method === 'GET') return ok(there)
    if (method === 'DELETE') {
      this.objects.delete(at)
      this.#version++
      return ok({})
    }
    const given = record(body)
    const expected = record(given['metadata'])['resourceVersion']
    if (expected !== undefined && expected !== there.metadata['resourceVersion']) return failure(409, 'Conflict')
    if (method === 'PUT')
      return ok(this.#store(at, { ...given, metadata: { ...there.metadata, ...record(given['metadata']) } }))
    if (contentType !== 'application/merge-patch+json') return failure(415, 'UnsupportedMediaType')
    const patched = record(merge(there, isStatus ? { status: given['status'] } : given))
    return ok(this.#store(at, { ...patched, metadata: { ...there.metadata, ...record(patched['metadata']) } }))
  }

  #create(path: string, body: Record<string, unknown>): ApiResult {
    const metadata = record(body['metadata'])
    const generated = metadata['generateName']
    const name = typeof generated === 'string' ? `${generated}${this.#version}` : String(metadata['name'])
    const at = `${path}/${name}`
    if (path.endsWith('reviews')) return failure(404, 'NotFound')
    if (this.objects.has(at)) return failure(409, 'AlreadyExists')
    return { ...ok(this.put(at, { ...body, metadata: { ...metadata, name } })), status: 201 }
  }

  #list(path: string, query: ApiCall['query']): ApiResult {
    const selector = String(query?.['labelSelector'] ?? '')
    const items = [...this.objects.entries()].filter(([at, object]) => {
      return at.slice(0, at.lastIndexOf('/')) === path && matches(object, selector)
    })
    return ok({ metadata: { resourceVersion: String(this.#version) }, items: items.map(([, object]) => object) })
  }

  #store(path: string, object: StoredObject): StoredObject {
    this.#version++
    const stored = { ...object, metadata: { ...object.metadata, resourceVersion: String(this.#version) } }
    this.objects.set(path, stored)
    return stored
  }
}

function matches(object: StoredObject, selector: string): boolean {
  const labels = record(object.metadata['labels'])
  return selector
    .split(',')
    .filter(Boolean)
    .every((part) => {
      const [name = '', value] = part.split('=')
      return value === undefined ? name in labels : labels[name] === value
    })
}

// A path of an object ends with a name, that of a list with a plural word; names in tests have a dash or a digit.
function isName(path: string): boolean {
  return /[-0-9]/.test(path.split('/').at(-1) ?? '')
}

/** RFC 7396. */
function merge(target: unknown, patch: unknown): unknown {
  if (typeof patch !== 'object' || patch === null || Array.isArray(patch)) return patch
  const merged: Record<string, unknown> = { ...record(target) }
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete merged[key]
    else merged[key] = merge(merged[key], value)
  }
  return merged
}

function record(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : {}
}

function ok(body: unknown): ApiResult {
  return { status: 200, body, retryAfterMs: undefined }
}

/** A Status of the API server. */
export function failure(status: number, reason: string, retryAfterMs?: number): ApiResult {
  return { status, body: { kind: 'Status', code: status, reason, message: reason }, retryAfterMs }
}

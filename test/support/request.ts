// Canonical requests for tests that need no codec: method, URL and fields go in, a RequestHead comes out.
import type { RequestHead } from '../../model/filter.ts'
import { canonicalTarget } from '../../model/target.ts'
import { FieldList } from '../../dataplane/runtime/field-list.ts'

class TestRequest extends FieldList implements RequestHead {
  readonly method: string
  readonly scheme: 'http' | 'https'
  readonly host: string
  readonly path: string
  readonly query: string

  constructor(method: string, scheme: 'http' | 'https', host: string, path: string, query: string) {
    super()
    this.method = method
    this.scheme = scheme
    this.host = host
    this.path = path
    this.query = query
  }
}

/** A request for a target (`/a?b=1`) as the codec would hand it on. Throws where the target is refused. */
export function makeRequest(
  target: string,
  rest: {
    readonly method?: string
    readonly scheme?: 'http' | 'https'
    readonly host?: string
    readonly headers?: readonly (readonly [string, string])[]
  } = {},
): RequestHead {
  const parts = canonicalTarget(target)
  if (typeof parts === 'string') throw new Error(`${target}: ${parts}`)
  const request = new TestRequest(
    rest.method ?? 'GET',
    rest.scheme ?? 'https',
    rest.host ?? 'one.test',
    parts.path,
    parts.query,
  )
  for (const [name, value] of rest.headers ?? []) request.add(name, value)
  return request
}

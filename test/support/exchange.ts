// An exchange and heads for tests of policies: plain lists of fields, everything settable. Used by policies/*/policy.test.ts.
import { limitKeyOf, parseAddress } from '../../model/address.ts'
import type { Exchange, Head, HeaderId, RequestHead, ResponseHead } from '../../model/filter.ts'

/** Fields in wire order, as [name, value]. */
class TestHead implements Head {
  fields: (readonly [string, string])[]

  constructor(fields: readonly (readonly [string, string])[] = []) {
    this.fields = [...fields]
  }

  get(name: HeaderId): string | undefined {
    return this.getAll(name)[0]
  }

  getAll(name: HeaderId): readonly string[] {
    return this.fields.filter(([each]) => each.toLowerCase() === name).map(([, value]) => value)
  }

  forEach(visit: (name: string, value: string) => void): void {
    for (const [name, value] of this.fields) visit(name, value)
  }

  set(name: string, value: string): void {
    this.#removeNamed(name)
    this.add(name, value)
  }

  add(name: string, value: string): void {
    this.fields.push([name, value])
  }

  remove(name: HeaderId): void {
    this.#removeNamed(name)
  }

  #removeNamed(name: string): void {
    this.fields = this.fields.filter(([each]) => each.toLowerCase() !== name.toLowerCase())
  }
}

class TestRequestHead extends TestHead implements RequestHead {
  method = 'GET'
  scheme = 'http' as const
  host = 'shop.acme.example.com'
  path = '/'
  query = ''
}

export class TestResponseHead extends TestHead implements ResponseHead {
  status = 200
}

/** A request from `client` (an address; its bytes are empty where it is none) with these fields. */
export function createTestExchange(
  options: { readonly client?: string; readonly fields?: readonly (readonly [string, string])[] } = {},
): Exchange {
  const address = options.client ?? '10.0.0.1'
  const bytes = parseAddress(address) ?? new Uint8Array()
  return {
    tenant: 'acme',
    route: { tenant: 'acme', namespace: 'acme', route: 'shop', rule: 0, ruleName: '' },
    requestId: 'test',
    client: { address, bytes, limitKey: bytes.length === 16 ? limitKeyOf(bytes) : '', peer: address },
    request: new TestRequestHead(options.fields),
    startedAt: 0,
    slots: [],
  }
}

// access: who is let in, over every layer; what an override cuts, against a naive reading of addresses.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { schemaChecker, Findings } from '../../model/check-value.ts'
import type { PolicyLayer } from '../../model/define-policy.ts'
import type { FilterServices } from '../../model/filter.ts'
import { schemaNode } from '../../model/schema.ts'
import { createTestExchange } from '../../test/support/exchange.ts'
import { accessFilter } from './filter.ts'
import { access } from './policy.ts'
import type { AccessBody } from './schema.ts'

const layer = (body: AccessBody): PolicyLayer<AccessBody> => ({
  body,
  origin: { kind: 'Policy', namespace: 'acme', name: 'edge' },
  point: 'Namespace',
})

function createServices(count: FilterServices['count'] = () => {}): FilterServices {
  return {
    tenant: 'acme',
    route: { tenant: 'acme', namespace: 'acme', route: 'r', rule: 0, ruleName: '' },
    limiter: () => {
      throw new Error('access takes no limiter')
    },
    count,
  }
}

function createGate(...bodies: readonly AccessBody[]) {
  const counted: string[] = []
  const services = createServices((decision) => counted.push(decision))
  const hooks = accessFilter(access.compile(bodies.map(layer)), services)
  const ask = (client: string) => hooks.onRequest?.(createTestExchange({ client }), 0)
  return { ask, admits: (client: string) => ask(client) === undefined, counted }
}

describe('who is let in', () => {
  test.each<[string, AccessBody, boolean]>([
    ['10.0.0.1', {}, true],
    ['10.0.0.1', { ip: {} }, true],
    ['10.0.0.1', { ip: { allow: ['10.0.0.0/8'] } }, true],
    ['::ffff:10.0.0.1', { ip: { allow: ['10.0.0.0/8'] } }, true],
    ['::ffff:10.0.0.1', { ip: { deny: ['10.0.0.0/8'] } }, false],
    ['10.0.0.1', { ip: { deny: ['::ffff:10.0.0.0/104'] } }, false],
    ['11.0.0.1', { ip: { allow: ['10.0.0.0/8'] } }, false],
    ['::1', { ip: { allow: ['10.0.0.0/8'] } }, false],
    ['10.0.0.1', { ip: { allow: ['::/0'] } }, false],
    ['10.1.0.1', { ip: { allow: ['10.0.0.0/8'], deny: ['10.1.0.0/16'] } }, false],
    // Deny wins, under an allow list that is narrower too.
    ['10.1.0.1', { ip: { allow: ['10.1.0.1'], deny: ['10.0.0.0/8'] } }, false],
    ['2001:db8::1', { ip: { deny: ['2001:db8::/32'] } }, false],
    ['2001:db9::1', { ip: { deny: ['2001:db8::/32'] } }, true],
  ])('%s under %j: %s', (address, body, admitted) => {
    const gate = createGate(body)
    expect(gate.admits(address)).toBe(admitted)
    expect(gate.counted).toEqual([admitted ? 'allowed' : 'refused'])
  })

  test('an address that cannot be read is refused, and the answer names the policy', () => {
    expect(createGate({}).ask('unknown')).toEqual({ code: 'AddressDenied', decidedBy: 'access' })
    expect(createGate({ ip: { deny: ['10.0.0.0/8'] } }).ask('10.0.0')).toBeDefined()
  })

  test('a config whose ranges cannot be read is refused whole', () => {
    expect(() => accessFilter({ allow: [], deny: ['10.0.0.0/8', 'rubbish'] }, createServices())).toThrow('rubbish')
    expect(() => accessFilter({ allow: [['']], deny: [] }, createServices())).toThrow()
  })
})

test('the config is the same however the ranges are written', () => {
  const one = { ip: { allow: ['10.0.0.0/8', '2001:DB8::/32'], deny: ['10.1.1.1'] } }
  const two = { ip: { allow: ['2001:db8:0::/32', '::ffff:10.0.0.0/104', '10.0.0.0/8'], deny: ['10.1.1.1/32'] } }
  expect(access.compile([layer(one)])).toEqual(access.compile([layer(two)]))
})

test('the schema refuses rubbish, ranges with host bits, and an empty allow list', () => {
  const check = schemaChecker(schemaNode(access.body))
  const problems = (value: unknown) => {
    const findings = new Findings()
    check(value, findings)
    return findings.problems.map((problem) => problem.message)
  }
  expect(problems({ ip: { allow: ['10.0.0.0/8'], deny: [] } })).toEqual([])
  expect(problems({ ip: { allow: [] } })).toEqual(['ip.allow is empty; it needs at least one item.'])
  expect(problems({ ip: { deny: ['10.0.0.1/8'] } })).toEqual([
    'ip.deny[0]: "10.0.0.1/8" has bits set after its prefix; write 10.0.0.0/8.',
  ])
  expect(problems({ ip: { deny: ['10.0.0'] } })[0]).toContain('is no address range')
  expect(problems({ ip: { deny: ['example.com'] } })[0]).toContain('must be an address range')
})

describe('stricter than an override', () => {
  const range = fc.oneof(
    fc
      .tuple(fc.nat(15), fc.integer({ min: 28, max: 32 }))
      .map(([host, bits]) => `10.0.0.${host & ~((1 << (32 - bits)) - 1)}/${bits}`),
    fc
      .tuple(fc.nat(15), fc.integer({ min: 124, max: 128 }))
      .map(([host, bits]) => `::${(host & ~((1 << (128 - bits)) - 1)).toString(16)}/${bits}`),
    fc.constantFrom('0.0.0.0/0', '::/0', '10.0.0.0/8'),
  )
  const body: fc.Arbitrary<AccessBody> = fc
    .record(
      {
        allow: fc.uniqueArray(range, { minLength: 1, maxLength: 5 }),
        deny: fc.uniqueArray(range, { maxLength: 5 }),
      },
      { requiredKeys: [] },
    )
    .map((ip) => ({ ip }))
  const probes = [
    ...Array.from({ length: 17 }, (_, host) => `10.0.0.${host}`),
    ...Array.from({ length: 17 }, (_, host) => `::${host.toString(16)}`),
    '9.255.255.255',
    '10.255.255.255',
    '11.0.0.0',
    'ffff::',
  ]

  test('empty exactly where every address that own lets in, the override lets in too', () => {
    fc.assert(
      fc.property(body, body, (own, override) => {
        const ownGate = createGate(own)
        const overrideGate = createGate(override)
        const looser = probes.some((address) => ownGate.admits(address) && !overrideGate.admits(address))
        expect(access.looserFields(own, override).length > 0).toBe(looser)
      }),
      { numRuns: 400 },
    )
  })

  test('both layers hold, whatever they say', () => {
    fc.assert(
      fc.property(body, body, (own, override) => {
        const both = createGate(override, own)
        const each = [createGate(own), createGate(override)]
        for (const address of probes) {
          expect(both.admits(address)).toBe(each.every((gate) => gate.admits(address)))
        }
      }),
      { numRuns: 200 },
    )
  })

  test('names what is lost', () => {
    const lost = access.looserFields(
      { ip: { allow: ['10.0.0.0/8', '192.168.0.0/16'], deny: ['10.1.0.0/16'] } },
      { ip: { deny: ['10.1.0.0/16', '192.168.0.0/24'] } },
    )
    expect(lost).toEqual([
      { path: ['ip', 'allow', 1], because: 'allows 192.168.0.0/16, of which the override refuses a part or all' },
    ])
    expect(access.looserFields({ ip: { deny: ['10.0.0.1'] } }, { ip: { allow: ['10.0.0.0/8'] } })).toHaveLength(1)
    expect(access.looserFields({}, { ip: { allow: ['10.0.0.0/8'] } })[0]?.path).toEqual([])
  })
})

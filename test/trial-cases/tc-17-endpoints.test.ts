// TC-17: one Service over several slices: each address with the port of its own slice, both families, no port 0.
import { expect, it } from 'vitest'
import { startBackend } from '../support/backend.ts'
import { ask, createTrial } from '../support/trial.ts'
import { route, tenant, world } from '../support/world.ts'

const trial = createTrial()

function slice(name: string, service: string, address: string, port: { name: string; port: number } | null) {
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { namespace: 'prod', name, labels: { 'kubernetes.io/service-name': service } },
    addressType: address.includes(':') ? 'IPv6' : 'IPv4',
    ports: port === null ? [] : [port],
    endpoints: [{ addresses: [address], conditions: { ready: true } }],
  }
}

it('dials each address on its own port, and lives with a family that is dead', async () => {
  const a = await trial.keep(startBackend('a'))
  const b = await trial.keep(startBackend('b', undefined, '127.0.0.2'))
  const nameless = await trial.keep(startBackend('nameless'))
  const rule = (prefix: string, name: string, port: number | string) => ({
    matches: [{ path: { type: 'PathPrefix', value: prefix } }],
    backendRefs: [{ name, port }],
    balance: { algorithm: 'RoundRobin' },
    timeouts: { connect: '300ms' },
  })
  const gateway = await trial.gateway(
    world(
      tenant(['pt.test']),
      {
        apiVersion: 'v1',
        kind: 'Service',
        metadata: { namespace: 'prod', name: 's' },
        spec: {
          ports: [
            { name: 'web', port: 80, targetPort: 'http' },
            { name: 'admin', port: 9090 },
          ],
        },
      },
      {
        apiVersion: 'v1',
        kind: 'Service',
        metadata: { namespace: 'prod', name: 'plain' },
        spec: { ports: [{ port: 80 }] },
      },
      slice('a', 's', '127.0.0.1', { name: 'web', port: a.port }),
      slice('b', 's', '127.0.0.2', { name: 'web', port: b.port }),
      slice('c', 's', '127.0.0.3', null),
      slice('d', 's', '127.0.0.4', { name: 'admin', port: 9090 }),
      // An address of the loopback that nobody listens on stands for the family that cannot be reached.
      slice('e', 's', '::1', { name: 'web', port: 9 }),
      slice('n', 'plain', '127.0.0.1', { name: '', port: nameless.port }),
      route('r1', ['pt.test'], [rule('/', 's', 80), rule('/n', 's', 'web'), rule('/nameless', 'plain', 80)]),
    ),
    { allowEndpoints: ['127.0.0.0/8', '::1/128'] },
  )
  const pools = [...gateway.result.snapshot.pools.values()]
  const endpoints = pools.find(({ id }) => id.service === 's')?.endpoints ?? []
  expect(endpoints.map(({ address, port }) => `${address} ${port}`).sort()).toEqual(
    [`127.0.0.1 ${a.port}`, `127.0.0.2 ${b.port}`, '::1 9'].sort(),
  )
  for (let at = 0; at < 12; at += 1) expect((await ask(gateway.port, 'pt.test', '/')).status).toBe(200)
  expect(a.seen.length + b.seen.length).toBe(12)
  for (const { seen } of [a, b]) expect(seen.length).toBeGreaterThanOrEqual(4)
  // By the name of the port it is the same pool.
  for (let at = 0; at < 6; at += 1) expect(['a', 'b']).toContain((await ask(gateway.port, 'pt.test', '/n')).text)
  expect(a.seen.length + b.seen.length).toBe(18)
  expect((await ask(gateway.port, 'pt.test', '/nameless')).text).toBe('nameless')
})

// TC-13: where TLS ends at a hop in front, its word decides; Location has no odd port; nobody else's word counts.
import { expect, it } from 'vitest'
import { makeCa, makeLeaf } from '../support/certificates.ts'
import { startBackend } from '../support/backend.ts'
import { field } from '../support/client-call.ts'
import type { GatewayOptions } from '../support/gateway.ts'
import { ask, createTrial } from '../support/trial.ts'
import { certificate, route, service, tenant, to, world } from '../support/world.ts'

const trial = createTrial()

async function setUp(trustForwarded: readonly string[], more: GatewayOptions = {}) {
  const web = await trial.keep(startBackend('web'))
  const leaf = await makeLeaf(await makeCa(), { names: ['web.test'] })
  return trial.gateway(
    world(
      tenant(['web.test']),
      certificate('web-tls', leaf),
      service('web', [web.port]),
      route('r1', ['web.test'], [to('web')], { tls: { certificateRefs: [{ name: 'web-tls' }] } }),
    ),
    { trustForwarded, ...more },
  )
}

it('believes a trusted hop', async () => {
  const { port } = await setUp(['127.0.0.1/32'])
  const proto = (value: string) => ['X-Forwarded-For', '203.0.113.7', 'X-Forwarded-Proto', value]
  expect((await ask(port, 'web.test', '/a?b=1', { fields: proto('https') })).text).toBe('web')
  for (const fields of [proto('http'), []]) {
    const answer = await ask(port, 'web.test', '/a?b=1', { fields })
    expect([answer.status, field(answer.fields, 'location')]).toEqual([308, 'https://web.test/a?b=1'])
  }
})

it('believes nobody else, and never shows a port', async () => {
  const { port } = await setUp([])
  for (const host of ['web.test', 'web.test:8080', 'web.test:80', 'WEB.test.']) {
    const answer = await ask(port, host, '/a?b=1', { fields: ['X-Forwarded-Proto', 'https'] })
    expect([host, answer.status, field(answer.fields, 'location')]).toEqual([host, 308, 'https://web.test/a?b=1'])
  }
})

it('leads to where TLS listens where nobody stands in front, and past every listener where a hop does', async () => {
  const alone = await setUp([], { tls: {}, publicHttpsPort: 'listener' })
  const answer = await ask(alone.port, 'web.test', '/a')
  expect([answer.status, field(answer.fields, 'location')]).toEqual([308, `https://web.test:${alone.tlsPort}/a`])
  const behind = await setUp(['127.0.0.1/32'], { tls: {}, publicHttpsPort: 'listener' })
  const hop = await ask(behind.port, 'web.test', '/a', { fields: ['X-Forwarded-Proto', 'http'] })
  expect([hop.status, field(hop.fields, 'location')]).toEqual([308, 'https://web.test/a'])
})

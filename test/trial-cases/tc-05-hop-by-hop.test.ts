// TC-05: what Connection lists ends at this hop, both ways; what the gateway says cannot be deleted by listing it.
import { expect, it } from 'vitest'
import { startBackend } from '../support/backend.ts'
import { allOf, field } from '../support/client-call.ts'
import { ask, createTrial } from '../support/trial.ts'
import { route, service, tenant, to, world } from '../support/world.ts'

const trial = createTrial()

it('ends hop-by-hop fields here', async () => {
  const echo = await trial.keep(
    startBackend('echo', (_req, res) => {
      res.writeHead(200, ['Connection', 'X-Int, close', 'X-Int', '1', 'X-Stays', '1', 'Proxy-Authenticate', 'Basic'])
      res.end()
    }),
  )
  const gateway = await trial.gateway(
    world(tenant(['api.test']), service('echo', [echo.port]), route('r1', ['api.test'], [to('echo')])),
  )
  const seen = async (...fields: string[]) => {
    const answer = await ask(gateway.port, 'api.test', '/', { fields })
    expect(answer.status).toBe(200)
    return { answer, fields: echo.seen.at(-1)?.fields ?? [] }
  }

  const listed = await seen('Connection', 'x-secret', 'X-Secret', '1', 'X-Kept', '1')
  for (const name of ['x-secret', 'connection']) expect(allOf(listed.fields, name).join()).not.toContain('secret')
  expect(field(listed.fields, 'x-secret')).toBeUndefined()
  expect(field(listed.fields, 'x-kept')).toBe('1')
  for (const name of ['x-int', 'proxy-authenticate']) expect(field(listed.answer.fields, name)).toBeUndefined()
  expect(allOf(listed.answer.fields, 'connection').join()).not.toMatch(/x-int/i)
  expect(field(listed.answer.fields, 'x-stays')).toBe('1')

  const named = await seen('Keep-Alive', 'timeout=5', 'Proxy-Connection', 'keep-alive', 'TE', 'gzip')
  for (const name of ['keep-alive', 'proxy-connection', 'te']) expect(field(named.fields, name)).toBeUndefined()

  const owned = await seen('Connection', 'X-Forwarded-For, Host', 'connection', 'x-REAL-ip, forwarded, x-request-id')
  expect(allOf(owned.fields, 'host')).toEqual(['api.test'])
  expect(allOf(owned.fields, 'x-forwarded-for')).toEqual(['127.0.0.1'])
  for (const name of ['x-real-ip', 'forwarded', 'x-request-id']) expect(allOf(owned.fields, name).length).toBe(1)
})

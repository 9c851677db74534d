// TC-03: the backend gets the bytes of path and query as they came; matching and forwarding use one reading.
import { expect, it } from 'vitest'
import { startBackend } from '../support/backend.ts'
import { ask, createTrial } from '../support/trial.ts'
import { route, service, tenant, to, world } from '../support/world.ts'

const trial = createTrial()

it('decodes, cleans and encodes nothing', async () => {
  const git = await trial.keep(startBackend('git'))
  const adm = await trial.keep(startBackend('adm'))
  const gateway = await trial.gateway(
    world(
      tenant(['git.test']),
      service('git', [git.port]),
      service('adm', [adm.port]),
      route('r1', ['git.test'], [to('git', '/api')]),
      route('r2', ['git.test'], [to('adm', '/api/admin')]),
    ),
  )
  for (const target of [
    '/api/p/grp%2Frepo',
    '/api/p/grp%2frepo',
    '/api/go/http%3A%2F%2Fx.test%2Fy?u=a%26b+c',
    '/api//x',
    '/api/%E4%BD%A0?q=%E4%BD%A0&a[]=1|2',
    "/api/a;b=1,c!$&'()*+@:",
    '/api/x?',
  ]) {
    const answer = await ask(gateway.port, 'git.test', target)
    expect([target, answer.status, answer.text]).toEqual([target, 200, 'git'])
    expect(git.seen.at(-1)?.url).toBe(target === '/api/x?' ? '/api/x' : target)
  }
  const before = git.seen.length
  expect((await ask(gateway.port, 'git.test', '/api%2Fadmin')).status).toBe(404)
  expect(git.seen.length).toBe(before)
  for (const target of ['/api/x/../admin', '/api/%61dmin', '/api/./admin', '/api/x/%2e%2e/admin']) {
    expect([target, (await ask(gateway.port, 'git.test', target)).text]).toEqual([target, 'adm'])
    expect(adm.seen.at(-1)?.url).toBe('/api/admin')
  }
  for (const target of ['/api/..;/admin', '/api\\admin', '/api/%5cadmin', '/api/%00', '/api/%zz', '/../api']) {
    expect([target, (await ask(gateway.port, 'git.test', target)).status]).toEqual([target, 400])
  }
  expect(git.seen.length).toBe(before)
})

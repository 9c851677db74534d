// TC-01: a rewrite of one rule leaves the other rules of its host alone; Exact is the whole path, and case counts.
import { expect, it } from 'vitest'
import { startBackend } from '../support/backend.ts'
import { ask, createTrial } from '../support/trial.ts'
import { route, service, tenant, world } from '../support/world.ts'

const trial = createTrial()

it('keeps an option within its rule, also while the rule comes and goes', async () => {
  const a = await trial.keep(startBackend('A'))
  const b = await trial.keep(startBackend('B'))
  const exact = (name: string, path: string, backend: string, rewrite?: string) =>
    route(
      name,
      ['app.test'],
      [
        {
          matches: [{ path: { type: 'Exact', value: path } }],
          backendRefs: [{ name: backend, port: 80 }],
          ...(rewrite === undefined
            ? {}
            : {
                filters: [
                  {
                    type: 'URLRewrite',
                    urlRewrite: { path: { type: 'ReplaceFullPath', replaceFullPath: rewrite } },
                  },
                ],
              }),
        },
      ],
    )
  const base = [...tenant(['app.test']), ...service('a', [a.port]), ...service('b', [b.port])]
  const r2 = exact('r2', '/hello', 'b')
  const gateway = await trial.gateway(world(base, [exact('r1', '/assets', 'a', '/static'), r2]))

  expect((await ask(gateway.port, 'app.test', '/assets')).text).toBe('A')
  expect(a.seen.map(({ url }) => url)).toEqual(['/static'])
  expect((await ask(gateway.port, 'app.test', '/assets/logo')).status).toBe(404)

  const others = async () => {
    expect((await ask(gateway.port, 'app.test', '/hello')).text).toBe('B')
    expect(b.seen.at(-1)?.url).toBe('/hello')
    for (const target of ['/HELLO', '/hello/x']) expect((await ask(gateway.port, 'app.test', target)).status).toBe(404)
  }
  await others()

  // The other rule is asked all the time while the first goes and comes back.
  let asking = true
  const load = (async () => {
    let asked = 0
    for (; asking; asked += 1) expect((await ask(gateway.port, 'app.test', '/hello')).text).toBe('B')
    return asked
  })()
  await gateway.apply(world(base, [r2]))
  expect((await ask(gateway.port, 'app.test', '/assets')).status).toBe(404)
  await others()
  await gateway.apply(world(base, [exact('r1', '/assets', 'a', '/other'), r2]))
  expect((await ask(gateway.port, 'app.test', '/assets')).text).toBe('A')
  expect(a.seen.at(-1)?.url).toBe('/other')
  await others()
  asking = false
  expect(await load).toBeGreaterThan(0)
})

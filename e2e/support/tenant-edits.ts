// Edits of a tenant's routes that can be told from outside: each route answers with a header of its edit. Used by the
// tests on a cluster.
import { type Api, ownPath } from './api.ts'
import type { GatewayAddress } from './installation.ts'
import { ask } from './request.ts'
import { routeOf } from './tenant.ts'

/** What a host must answer once an edit is live: 200 with this mark, or 404. */
export type Wanted = ReadonlyMap<string, string | 404>

const HEADER = 'x-edit'

/** A Route whose answers carry a mark. */
export function markedRoute(tenant: string, name: string, mark: string) {
  const route = routeOf(tenant, name, hostOf(tenant, name))
  const filter = { type: 'ResponseHeaderModifier', responseHeaderModifier: { set: [{ name: HEADER, value: mark }] } }
  const rules = route.spec.rules.map((rule) => ({ ...rule, filters: [filter] }))
  return { ...route, spec: { ...route.spec, rules } }
}

/** The host of such a route. */
export function hostOf(tenant: string, name: string): string {
  return `${name}.${tenant}.test`
}

/** Makes the route, or edits it, straight at the API server. */
export async function putRoute(api: Api, tenant: string, name: string, mark: string): Promise<void> {
  const path = ownPath('routes', tenant)
  const route = markedRoute(tenant, name, mark)
  const made = await api.call('POST', path, route)
  const answer = made.status === 409 ? await api.call('PATCH', `${path}/${name}`, { spec: route.spec }) : made
  if (answer.status >= 300) throw new Error(`route ${name}: ${answer.status} ${JSON.stringify(answer.body)}`)
}

/** Takes the route away. */
export async function removeRoute(api: Api, tenant: string, name: string): Promise<void> {
  const { status } = await api.call('DELETE', `${ownPath('routes', tenant)}/${name}`)
  if (status >= 300 && status !== 404) throw new Error(`route ${name} cannot be deleted: ${status}`)
}

/** What the hosts do not yet answer as wanted, in words. */
export async function notYet(gateway: GatewayAddress, wanted: Wanted): Promise<readonly string[]> {
  const all = [...wanted].map(async ([host, want]) => {
    const seen = await ask(gateway, host).then(
      ({ status, headers }) => (status === 200 ? String(headers[HEADER]) : status),
      (error: unknown) => String(error),
    )
    return seen === want ? [] : [`${host}: ${seen} instead of ${want}`]
  })
  return (await Promise.all(all)).flat()
}

/** Waits until all is as wanted; the milliseconds that took. Rejects with what is not. */
export async function untilLive(gateway: GatewayAddress, wanted: Wanted, timeout: number): Promise<number> {
  const from = performance.now()
  for (;;) {
    const missing = await notYet(gateway, wanted)
    const took = performance.now() - from
    if (missing.length === 0) return took
    if (took > timeout) {
      throw new Error(
        `not live after ${Math.round(took)} ms: ${missing.length}, such as ${missing.slice(0, 5).join('; ')}`,
      )
    }
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

// Which hosts a question of explain is about, and which tenant serves a host. Pure. server.ts decides by them whether a
// caller may ask.
import { canonicalHost, hostCovers } from '../../model/host.ts'
import type { LoopState } from '../loop.ts'

/** Hosts that a question is about: that of the URL, of a Host field, and the TLS name. */
export function hostsOf({
  url,
  headers,
  sni,
}: Readonly<Record<string, unknown>>): readonly (string | undefined)[] | undefined {
  if (typeof url !== 'string' || !URL.canParse(url)) return undefined
  const { protocol, host } = new URL(url)
  if (protocol !== 'http:' && protocol !== 'https:') return undefined
  const fields = (Array.isArray(headers) ? headers : []).flatMap((field: unknown) => {
    const [name, value] = Array.isArray(field) ? field : []
    return typeof name === 'string' && name.toLowerCase() === 'host' ? [String(value)] : []
  })
  const names = [host, ...fields, ...(typeof sni === 'string' && sni !== '' ? [sni] : [])]
  return names.map((name) => canonicalHost(name))
}

/** The tenant that serves a host. */
export function ownerOf(state: LoopState, host: string | undefined): string | undefined {
  if (host === undefined) return undefined
  let best: { tenant: string; pattern: string } | undefined
  for (const [tenant, { hosts }] of state.result.snapshot.shards) {
    for (const { host: pattern } of hosts) {
      if (pattern !== host && !hostCovers(pattern, host)) continue
      if (best === undefined || pattern === host || pattern.length > best.pattern.length) best = { tenant, pattern }
    }
  }
  return best?.tenant
}

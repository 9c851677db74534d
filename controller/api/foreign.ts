// Whether a request comes from a browser page of another site, by its Host and Origin. Pure. A page whose own name was
// rebound to our address carries that name as Host; a page elsewhere carries its Origin. Every port of the controller asks.
import { parseAddress } from '../../model/address.ts'
import { canonicalHost } from '../../model/host.ts'

/** The header fields that are looked at. */
export interface AskedBy {
  readonly host?: string | undefined
  readonly origin?: string | string[] | undefined
  readonly 'sec-fetch-site'?: string | string[] | undefined
}

/** Why a request is not answered, or undefined. `names`: host names, beside localhost and addresses, that are ours. */
export function foreignness(
  { host, origin, 'sec-fetch-site': site }: AskedBy,
  scheme: 'http' | 'https',
  names: readonly string[],
): string | undefined {
  if (host === undefined || !isOurs(host, names)) return 'this name is not ours: call it by localhost or an address'
  if (origin !== undefined && origin !== `${scheme}://${host}`)
    return 'calls from pages of other sites are not answered'
  if (site !== undefined && site !== 'same-origin' && site !== 'none') {
    return 'calls from pages of other sites are not answered'
  }
  return undefined
}

function isOurs(host: string, names: readonly string[]): boolean {
  const bracketed = /^\[([0-9a-fA-F:.]+)\](?::[0-9]{1,5})?$/.exec(host)
  if (bracketed !== null) return parseAddress(bracketed[1] ?? '') !== undefined
  const name = canonicalHost(host)
  if (name === undefined) return false
  return name === 'localhost' || names.includes(name) || parseAddress(name) !== undefined
}

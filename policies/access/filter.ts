// access, running: one look into sorted ranges per request. Built at load time from the config of a shard.
import { AddressRanges, type Cidr, parseCidr } from '../../model/address.ts'
import type { Filter } from '../../model/filter.ts'
import type { GatewayAnswer } from '../../model/gateway-error.ts'
import type { AccessConfig } from './schema.ts'

const DENIED: GatewayAnswer = { code: 'AddressDenied', decidedBy: 'access' }
const ADDRESS_BYTES = 16

/**
 * The filter of `access`.
 * @throws Error where a range of the config cannot be read: the shard is refused, rather than a range left out.
 */
export const accessFilter: Filter<AccessConfig> = (config, services) => {
  const allowed = config.allow.map((ranges) => new AddressRanges(ranges.map(rangeOf)))
  const denied = new AddressRanges(config.deny.map(rangeOf))
  const admits = (address: Uint8Array): boolean =>
    address.length === ADDRESS_BYTES && !denied.contains(address) && allowed.every((ranges) => ranges.contains(address))
  return {
    onRequest(exchange) {
      const admitted = admits(exchange.client.bytes)
      services.count(admitted ? 'allowed' : 'refused')
      return admitted ? undefined : DENIED
    },
  }
}

function rangeOf(text: string): Cidr {
  const cidr = parseCidr(text)
  if (cidr === undefined) throw new Error(`access: "${text}" is no address range`)
  return cidr
}

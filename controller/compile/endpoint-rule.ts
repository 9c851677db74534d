// Which addresses an endpoint may have. Pure. Made once from the settings; index-objects asks what an address alone
// tells, resolve-endpoints adds who holds it. Egress is filtered here before an address ever reaches a pool.
import { AddressRanges, type Cidr, formatAddress, parseAddress, parseCidr } from '../../model/address.ts'
import type { PreparedEndpoint } from './indexed.ts'

/**
 * Never an endpoint unless the operator allows it: this host (loopback, unspecified), the link, multicast, broadcast
 * and reserved blocks (RFC 6890), and the metadata services of clouds.
 */
const REFUSED = [
  '0.0.0.0/8',
  '127.0.0.0/8',
  '169.254.0.0/16',
  '224.0.0.0/3',
  '::/96',
  // Translated addresses: SIIT (RFC 2765) and NAT64 of one's own, where the IPv4 address stands somewhere inside (RFC 8215).
  '::ffff:0:0:0/96',
  '64:ff9b:1::/48',
  'fe80::/10',
  'fec0::/10',
  'ff00::/8',
  // Metadata: AWS and GCP over IPv6, Alibaba, Oracle, Azure.
  'fd00:ec2::254',
  'fd20:ce::254',
  '100.100.100.200',
  '192.0.0.192',
  '168.63.129.16',
] as const

/** IPv6 forms that a translator turns into the IPv4 address inside: NAT64 (RFC 6052) at byte 12, 6to4 (RFC 3056) at 2. */
const TRANSLATED: readonly { readonly range: string; readonly offset: number }[] = [
  { range: '64:ff9b::/96', offset: 12 },
  { range: '2002::/16', offset: 2 },
]

/** What an address is, in canonical text. */
export interface JudgedAddress {
  readonly address: string
  readonly standing: PreparedEndpoint['standing']
}

/** The rule, ready to be asked. */
export class EndpointRule {
  readonly #refused: AddressRanges
  readonly #allowed: AddressRanges
  readonly #translated: readonly { readonly range: AddressRanges; readonly offset: number }[]
  readonly #ownPorts: ReadonlyMap<string, ReadonlySet<number> | 'all'>
  readonly #ownAnywhere: ReadonlySet<number>
  /** Ports of Atrium on whichever address. */
  readonly #ownAnyPort: ReadonlySet<number>
  readonly #thisHost: AddressRanges

  constructor(allowEndpoints: readonly string[], ownAddresses: readonly string[]) {
    this.#refused = rangesOf(REFUSED)
    this.#allowed = rangesOf(allowEndpoints)
    this.#translated = TRANSLATED.map(({ range, offset }) => ({ range: rangesOf([range]), offset }))
    this.#thisHost = rangesOf(['127.0.0.0/8', '0.0.0.0/8', '::1', '::'])
    const ports = new Map<string, Set<number> | 'all'>()
    const anywhere = new Set<number>()
    const anyPort = new Set<number>()
    for (const own of ownAddresses) {
      const { address, port } = splitPort(own)
      if (address === undefined) continue
      if (port !== undefined) anyPort.add(port)
      // A listener on every address is this host's, whichever of its addresses an endpoint names.
      if (port !== undefined && isUnspecified(address)) anywhere.add(port)
      const key = formatAddress(address)
      const known = ports.get(key)
      if (port === undefined) ports.set(key, 'all')
      else if (known === undefined) ports.set(key, new Set([port]))
      else if (known !== 'all') known.add(port)
    }
    this.#ownPorts = ports
    this.#ownAnywhere = anywhere
    this.#ownAnyPort = anyPort
  }

  /** What the address alone tells. */
  judge(text: string): JudgedAddress {
    const bytes = parseAddress(text)
    if (bytes === undefined) return { address: text, standing: 'refused' }
    const address = formatAddress(bytes)
    if (this.#allowed.contains(bytes)) return { address, standing: 'allowed' }
    return { address, standing: this.#isRefused(bytes) ? 'refused' : 'believed' }
  }

  /** Whether Atrium itself listens there. `address` is canonical. */
  isOwn(address: string, port: number): boolean {
    const ports = this.#ownPorts.get(address)
    if (ports !== undefined && (ports === 'all' || ports.has(port))) return true
    const bytes = parseAddress(address)
    if (bytes === undefined) return false
    // The system takes a connection to 0.0.0.0 or :: for one to this host, and finds what listens on its loopback only.
    if (isUnspecified(bytes)) return this.#ownAnyPort.has(port)
    return this.#ownAnywhere.has(port) && this.#thisHost.contains(bytes)
  }

  #isRefused(bytes: Uint8Array): boolean {
    if (this.#refused.contains(bytes)) return true
    for (const { range, offset } of this.#translated) {
      if (!range.contains(bytes)) continue
      const inner = new Uint8Array(16)
      inner[10] = 0xff
      inner[11] = 0xff
      inner.set(bytes.subarray(offset, offset + 4), 12)
      if (this.#refused.contains(inner)) return true
    }
    return false
  }
}

function rangesOf(texts: readonly string[]): AddressRanges {
  return new AddressRanges(texts.map(parseCidr).filter((cidr): cidr is Cidr => cidr !== undefined))
}

function isUnspecified(bytes: Uint8Array): boolean {
  const text = formatAddress(bytes)
  return text === '::' || text === '0.0.0.0'
}

function splitPort(own: string): { readonly address: Uint8Array | undefined; readonly port: number | undefined } {
  const whole = parseAddress(own)
  if (whole !== undefined) return { address: whole, port: undefined }
  const colon = own.lastIndexOf(':')
  if (colon < 0) return { address: parseAddress(own.replace(/^\[|\]$/g, '')), port: undefined }
  const port = Number(own.slice(colon + 1))
  const host = own.slice(0, colon).replace(/^\[|\]$/g, '')
  return { address: parseAddress(host), port: Number.isInteger(port) ? port : undefined }
}

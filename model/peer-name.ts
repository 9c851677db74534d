// Who a certificate of a release stands for: one URI that names release, role and pod. Pure. Both ends of every call
// between controller and dataplane read it before they believe anything.
import { formatAddress, parseAddress } from './address.ts'

export type PeerRole = 'controller' | 'dataplane'

/** A pod of a release, in its role. */
export interface PeerName {
  readonly release: string
  readonly role: PeerRole
  /** UID of the Pod. */
  readonly uid: string
}

/** What the subject alternative names of a certificate say. */
export interface PeerIdentity extends PeerName {
  /** Canonical text. */
  readonly addresses: readonly string[]
}

const NAME = /^[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?$/
const URI = /^URI:atrium:\/\/([a-z0-9.-]{1,253})\/(controller|dataplane)\/([a-z0-9.-]{1,253})$/

/** Whether a text can stand in a peer's name: lower case, digits, dots and dashes. */
export function isNamePart(text: string): boolean {
  return NAME.test(text)
}

/** `atrium://<release>/<role>/<uid>`. Throws a RangeError where a part cannot stand in it. */
export function formatPeerName({ release, role, uid }: PeerName): string {
  if (!isNamePart(release) || !isNamePart(uid)) throw new RangeError('a release or UID that cannot stand in a URI')
  return `atrium://${release}/${role}/${uid}`
}

/**
 * Reads subject alternative names as node:crypto writes them (`URI:…, IP Address:…`). Exactly one URI of ours and
 * addresses, nothing else: whatever is not understood whole is nobody.
 */
export function readPeerIdentity(subjectAltName: string | undefined): PeerIdentity | undefined {
  if (subjectAltName === undefined || subjectAltName.length > 4_096) return undefined
  let name: PeerName | undefined
  const addresses: string[] = []
  for (const entry of subjectAltName.split(', ')) {
    const address = /^IP Address:([0-9A-Fa-f.:]{2,45})$/.exec(entry)?.[1]
    if (address !== undefined) {
      const canonical = canonicalAddress(address)
      if (canonical === undefined) return undefined
      addresses.push(canonical)
      continue
    }
    const [, release, role, uid] = URI.exec(entry) ?? []
    if (release === undefined || uid === undefined || (role !== 'controller' && role !== 'dataplane')) return undefined
    if (name !== undefined || !isNamePart(release) || !isNamePart(uid)) return undefined
    name = { release, role, uid }
  }
  return name === undefined ? undefined : { ...name, addresses }
}

/** One text for one address, IPv4 written as such; undefined where it is none. */
export function canonicalAddress(text: string): string | undefined {
  const bytes = parseAddress(text)
  return bytes === undefined ? undefined : formatAddress(bytes)
}

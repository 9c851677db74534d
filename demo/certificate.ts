// A self-signed certificate for the demo, made anew at each start, so that no private key lies in the repository.
// X.509 version 3 in DER (RFC 5280 section 4.1), ECDSA over P-256. Nobody should trust it, and nobody has to.
import { generateKeyPairSync, randomBytes, sign } from 'node:crypto'

/** A certificate and its key, PEM. */
export interface SelfSigned {
  readonly certificate: string
  readonly key: string
}

const SEQUENCE = 0x30
const SET = 0x31
const INTEGER = 0x02
const BIT_STRING = 0x03
const OCTET_STRING = 0x04
const OBJECT_ID = 0x06
const UTF8_STRING = 0x0c
const UTC_TIME = 0x17
const VERSION = 0xa0
const EXTENSIONS = 0xa3
const DNS_NAME = 0x82

const ECDSA_WITH_SHA256 = element(OBJECT_ID, Buffer.from('2a8648ce3d040302', 'hex'))
const COMMON_NAME = element(OBJECT_ID, Buffer.from('550403', 'hex'))
const SUBJECT_ALT_NAME = element(OBJECT_ID, Buffer.from('551d11', 'hex'))
const DAY_MS = 86_400_000

/** A certificate for `names` (wildcards allowed) that holds from a day before `now` for a month. */
export function selfSigned(names: readonly string[], now: number): SelfSigned {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const algorithm = element(SEQUENCE, ECDSA_WITH_SHA256)
  const name = element(
    SEQUENCE,
    element(SET, element(SEQUENCE, COMMON_NAME, element(UTF8_STRING, Buffer.from('Atrium demo')))),
  )
  const alternatives = element(SEQUENCE, ...names.map((dns) => element(DNS_NAME, Buffer.from(dns, 'latin1'))))
  const toBeSigned = element(
    SEQUENCE,
    element(VERSION, element(INTEGER, Buffer.from([2]))),
    element(INTEGER, Buffer.concat([Buffer.from([1]), randomBytes(15)])),
    algorithm,
    name,
    element(SEQUENCE, time(now - DAY_MS), time(now + 30 * DAY_MS)),
    name,
    publicKey.export({ type: 'spki', format: 'der' }),
    element(EXTENSIONS, element(SEQUENCE, element(SEQUENCE, SUBJECT_ALT_NAME, element(OCTET_STRING, alternatives)))),
  )
  const signature = sign('sha256', toBeSigned, privateKey)
  const whole = element(SEQUENCE, toBeSigned, algorithm, element(BIT_STRING, Buffer.from([0]), signature))
  return {
    certificate: pem('CERTIFICATE', whole),
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
  }
}

function element(tag: number, ...contents: readonly Uint8Array[]): Buffer {
  const content = Buffer.concat(contents)
  const length =
    content.length < 0x80
      ? [content.length]
      : content.length < 0x100
        ? [0x81, content.length]
        : [0x82, content.length >> 8, content.length & 0xff]
  return Buffer.concat([Buffer.from([tag, ...length]), content])
}

function time(milliseconds: number): Buffer {
  const digits = new Date(milliseconds).toISOString().replace(/\D/g, '').slice(2, 14)
  return element(UTC_TIME, Buffer.from(`${digits}Z`, 'latin1'))
}

function pem(label: string, der: Buffer): string {
  const lines = der.toString('base64').match(/.{1,64}/g) ?? []
  return [`-----BEGIN ${label}-----`, ...lines, `-----END ${label}-----`, ''].join('\n')
}

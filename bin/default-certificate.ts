// The certificate of --default-certificate, for names that have none of their own. Reads files; called by the verbs that
// serve, before anything is started.
import { readFileSync } from 'node:fs'
import { inspectSecret } from '../controller/sources/inspect-material.ts'
import type { CertificateMaterial } from '../dataplane/tls/host-identity.ts'
import { usageFailure } from './exit.ts'

/** Chain and key out of PEM files, whichever holds which. Fails where they do not belong together. */
export function readCertificate(files: readonly string[]): CertificateMaterial {
  const text = files.map(readText).join('\n')
  const blocks = text.match(/-----BEGIN ([A-Z ]+)-----[\s\S]+?-----END \1-----/g) ?? []
  const keys = blocks.filter((block) => block.includes('PRIVATE KEY-----'))
  const chain = blocks.filter((block) => block.startsWith('-----BEGIN CERTIFICATE-----'))
  const encode = (pem: readonly string[]) => new TextEncoder().encode(`${pem.join('\n')}\n`)
  const { certificate } = inspectSecret({ 'tls.crt': encode(chain), 'tls.key': encode(keys.slice(0, 1)) })
  const problem = certificate === undefined ? 'there is no certificate in it' : certificate.problem
  if (certificate === undefined || problem !== undefined) {
    throw usageFailure(`--default-certificate ${files.join(', ')}: ${problem}.`)
  }
  return { chainPem: certificate.chainPem, keyPem: certificate.keyPem }
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    throw usageFailure(`--default-certificate: ${file} cannot be read.`)
  }
}

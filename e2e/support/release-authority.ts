// The authority of the release as an operator sees it, and what every peer shows on its port. Used by the test that
// replaces it.
import { X509Certificate } from 'node:crypto'
import { connect } from 'node:tls'
import { get, kubectl } from './kubectl.ts'
import { NAMESPACE, podsOf } from './installation.ts'

const NAME = 'atrium-ca'

/** Asks for another one. Returns the text that stands for the wish. */
export function askForAnother(overlap: string): string {
  const word = new Date().toISOString()
  const wish = [`atrium.dev/rotate=${word}`, `atrium.dev/rotate-overlap=${overlap}`]
  kubectl(['annotate', '-n', NAMESPACE, 'secret', NAME, '--overwrite', ...wish])
  return word
}

/** How far it is, in words. */
export function progress(): string {
  const { metadata } = get<{ metadata: { annotations?: Readonly<Record<string, string>> } }>(
    'secret',
    NAME,
    '-n',
    NAMESPACE,
  )
  return metadata.annotations?.['atrium.dev/rotation'] ?? ''
}

/** The certificates to believe, as dataplane pods are given them; the first is that of the authority that signs. */
export function bundle(): readonly string[] {
  const { data } = get<{ data: Readonly<Record<string, string>> }>('configmap', NAME, '-n', NAMESPACE)
  return data['ca.crt']?.match(/-----BEGIN[^-]+-----[^-]+-----END[^-]+-----\n/g) ?? []
}

/** Peers, and the API of each controller, whose certificate is not signed by that authority: in words. */
export async function notSignedBy(authority: string): Promise<readonly string[]> {
  const { publicKey } = new X509Certificate(authority)
  const places = [
    ...podsOf('dataplane').map((pod) => ({ pod, port: 9902 })),
    ...podsOf('controller').flatMap((pod) => [9902, 9943].map((port) => ({ pod, port }))),
  ]
  const found = await Promise.all(
    places.map(async ({ pod, port }) => {
      const where = `${pod.metadata.name}:${port}`
      try {
        return (await certificateAt(pod.status.podIP ?? '', port)).verify(publicKey) ? [] : [where]
      } catch (error) {
        return [`${where} (${String(error)})`]
      }
    }),
  )
  return found.flat()
}

/** What a port shows. That nothing is shown to it in turn ends the connection after that. */
function certificateAt(host: string, port: number): Promise<X509Certificate> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, rejectUnauthorized: false, timeout: 5_000 })
    socket.once('timeout', () => socket.destroy(new Error('no answer in time')))
    socket.on('error', reject)
    socket.once('secureConnect', () => {
      const certificate = socket.getPeerX509Certificate()
      socket.destroy()
      if (certificate === undefined) reject(new Error('no certificate'))
      else resolve(certificate)
    })
  })
}

// The authority of the release as an operator sees it, and what every peer shows on its port. Used by the test that
// replaces it.
import { X509Certificate } from 'node:crypto'
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

/** Prints what the ports of this pod show, asked from within it: network policies let nobody else in. */
const SHOW = `
const { connect } = require('tls')
const at = (port) => new Promise((resolve) => {
  const socket = connect({ host: process.env.POD_IP, port, rejectUnauthorized: false, timeout: 5000 })
  socket.on('timeout', () => socket.destroy(new Error('no answer in time')))
  socket.on('error', (error) => resolve(String(error)))
  socket.on('secureConnect', () => { resolve(String(socket.getPeerX509Certificate())); socket.destroy() })
})
Promise.all(process.argv.slice(1).map(Number).map(at)).then((shown) => console.log(JSON.stringify(shown)))
`

/** Peers, and the API of each controller, whose certificate is not signed by that authority: in words. */
export function notSignedBy(authority: string): readonly string[] {
  const { publicKey } = new X509Certificate(authority)
  const ports = { dataplane: [9902], controller: [9902, 9943] }
  return (['dataplane', 'controller'] as const).flatMap((half) =>
    podsOf(half).flatMap(({ metadata }) => {
      const shown: readonly string[] = JSON.parse(inPod(metadata.name, SHOW, ...ports[half].map(String)))
      return shown.flatMap((text, index) => {
        const signed = text.startsWith('-----') && new X509Certificate(text).verify(publicKey)
        return signed ? [] : [`${metadata.name}:${ports[half][index]} ${text.startsWith('-----') ? '' : text}`]
      })
    }),
  )
}

/** Pushes that failed so far, of all controllers that are there, but for those to pods that have gone. */
export function pushFailures(): number {
  const script = `fetch('http://127.0.0.1:9903/metrics').then(async (answer) => console.log(await answer.text()))`
  const counts = podsOf('controller').map(({ metadata }) => {
    const counts = [...inPod(metadata.name, script).matchAll(/^atrium_push_failures_total\{reason="(\w+)"\} (\d+)$/gm)]
    if (counts.length === 0) return Number.NaN
    return counts.reduce((sum, [, reason, count]) => sum + (reason === 'Unreachable' ? 0 : Number(count)), 0)
  })
  return counts.reduce((sum, each) => sum + each, 0)
}

function inPod(pod: string, script: string, ...args: readonly string[]): string {
  return kubectl(['exec', '-n', NAMESPACE, pod, '--', '/usr/local/bin/node', '-e', script, ...args])
}

// Why a push to a pod failed, in few words that a metric can count. Pure but for node's error codes. peer-lane.ts calls it.
import { CallRefused } from '../../peer/call.ts'

/** The words, all of them. */
export const PUSH_FAILURES = ['Unreachable', 'Identity', 'Refused', 'Broken'] as const

/**
 * Unreachable: nobody listens there, as after a pod has gone. Identity: one end did not believe the certificate of the
 * other. Refused: the pod said no. Broken: the rest, as a connection that ended.
 */
export type PushFailure = (typeof PUSH_FAILURES)[number]

const NOBODY = ['ECONNREFUSED', 'EHOSTUNREACH', 'ENETUNREACH', 'ETIMEDOUT']

/** The word for an error of a push. */
export function pushFailureOf(error: unknown): PushFailure {
  if (error instanceof CallRefused) return 'Refused'
  if (!(error instanceof Error)) return 'Broken'
  const code = 'code' in error ? String(error.code) : ''
  if (NOBODY.includes(code)) return 'Unreachable'
  return error.name === 'WrongPeer' || /^ERR_(SSL|TLS)|CERT|SIGNATURE|ISSUER/.test(code) ? 'Identity' : 'Broken'
}

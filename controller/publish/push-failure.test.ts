import { expect, test } from 'vitest'
import { CallRefused } from '../../peer/call.ts'
import { pushFailureOf } from './push-failure.ts'

const coded = (code: string) => Object.assign(new Error('x'), { code })

test.each([
  [new CallRefused(409, 'Stale', 'no'), 'Refused'],
  [coded('ECONNREFUSED'), 'Unreachable'],
  [coded('ETIMEDOUT'), 'Unreachable'],
  [coded('ECONNRESET'), 'Broken'],
  [coded('ERR_SSL_TLSV1_ALERT_UNKNOWN_CA'), 'Identity'],
  [coded('SELF_SIGNED_CERT_IN_CHAIN'), 'Identity'],
  [coded('UNABLE_TO_VERIFY_LEAF_SIGNATURE'), 'Identity'],
  [Object.assign(new Error('x'), { name: 'WrongPeer' }), 'Identity'],
  [new Error('x'), 'Broken'],
  ['x', 'Broken'],
])('%s counts as %s', (error, word) => {
  expect(pushFailureOf(error)).toBe(word)
})

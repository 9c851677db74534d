// Defaults: what holds where nothing is written, and that the schemas show the same.
import { expect, test } from 'vitest'
import { filledLimits, filledMatches, filledPath, filledRef, filledSettings, filledTls } from './defaults.ts'

test('a tenant without limits has no limit but the size of a body', () => {
  const nothing = { requests: null, concurrency: null, connections: null, bodySize: 10 * 2 ** 20 }
  expect(filledLimits(undefined)).toEqual(nothing)
  expect(filledLimits({})).toEqual(nothing)
  expect(filledLimits({ bodySize: 512, concurrency: 3 })).toEqual({ ...nothing, bodySize: 512, concurrency: 3 })
})

test.each([
  ['500/s', 500, 1, 500],
  ['20/m', 20, 60, 1],
  ['90/m', 90, 60, 2],
  ['5/d', 5, 86_400, 1],
])('the burst of a tenant at %s is one second of it', (rate, count, seconds, burst) => {
  expect(filledLimits({ requests: { rate } }).requests).toEqual({ count, seconds, burst })
  expect(filledLimits({ requests: { rate, burst: 7 } }).requests?.burst).toBe(7)
})

test('settings of a rule', () => {
  expect(filledSettings({})).toEqual({
    balance: 'LeastConnections',
    timeouts: { request: null, backendRequest: 30_000, connect: 1_000, idle: 60_000 },
    retry: { attempts: 2, onConnectFailure: true, backoff: 25 },
    passiveHealth: { consecutiveFailures: 5, ejectFor: 10_000, maxEjectedPercent: 50 },
  })
  const given = filledSettings({ timeouts: { request: '0s', idle: '1m30s' }, retry: { when: [], attempts: 0 } })
  expect(given.timeouts).toMatchObject({ request: null, idle: 90_000, connect: 1_000 })
  expect(given.retry).toMatchObject({ attempts: 0, onConnectFailure: false })
})

test('matches, TLS and references', () => {
  expect(filledMatches(undefined)).toEqual([{}])
  expect(filledMatches([])).toEqual([{}])
  expect(filledPath({ value: '/a' })).toEqual({ type: 'PathPrefix', value: '/a' })
  expect(filledTls({})).toEqual({ minVersion: '1.2', plainHTTP: 'Redirect', mode: 'Require' })
  expect(filledRef({ name: 'a' }, 'Service', 'ns')).toEqual({ kind: 'Service', namespace: 'ns', name: 'a' })
  expect(filledRef({ name: 'a', namespace: 'b', kind: 'Secret' }, 'Secret', 'ns').namespace).toBe('b')
})

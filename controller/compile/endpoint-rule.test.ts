import { describe, expect, it } from 'vitest'
import { EndpointRule } from './endpoint-rule.ts'

/** An operator in a hurry allows everything. */
const open = new EndpointRule(['0.0.0.0/0', '::/0'], ['0.0.0.0:8080', '[::]:8080', '10.0.0.7:8080', '127.0.0.1:9901'])
const isOwn = (text: string, port: number) => open.isOwn(open.judge(text).address, port)

describe('what Atrium itself listens on', () => {
  // Linux connects 0.0.0.0 and :: to the loopback, where the admin listener is.
  it.each([
    ['127.0.0.1', 9901],
    ['0.0.0.0', 9901],
    ['::', 9901],
    ['::ffff:0.0.0.0', 9901],
    ['::ffff:127.0.0.1', 9901],
    ['0.0.0.0', 8080],
    ['127.3.2.1', 8080],
    ['::1', 8080],
    ['10.0.0.7', 8080],
  ])('%s port %i', (address, port) => {
    expect(isOwn(address, port)).toBe(true)
  })

  it('and nothing else', () => {
    expect([isOwn('10.0.0.8', 8080), isOwn('127.0.0.2', 9901), isOwn('0.0.0.0', 5000)]).toEqual([false, false, false])
  })
})

it.each([
  '127.0.0.1',
  '0.0.0.0',
  '169.254.169.254',
  '::1',
  '::ffff:169.254.169.254',
  '::ffff:0:127.0.0.1',
  '::127.0.0.1',
  '64:ff9b::7f00:1',
  '64:ff9b:1::a9fe:a9fe',
  '64:ff9b:1:7f00:0:100::',
  '2002:7f00:1::1',
  'fe80::1',
  'fd00:ec2::254',
  '255.255.255.255',
  '010.0.0.1',
  '0x7f.1',
  '2130706433',
  'localhost',
  '127.1',
  '10.0.0.1%eth0',
])('%s is no endpoint unless the operator says so', (address) => {
  expect(new EndpointRule([], []).judge(address).standing).toBe('refused')
})

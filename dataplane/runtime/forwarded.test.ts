import { expect, it } from 'vitest'
import { AddressRanges, parseCidr } from '../../model/address.ts'
import { believeHops, type ForwardedFields, forwardedNode, identityOfPeer } from './forwarded.ts'

const TRUSTED = new AddressRanges(['10.0.0.0/8', '2001:db8::/32'].flatMap((text) => parseCidr(text) ?? []))
const PEER = identityOfPeer('::ffff:10.0.0.9')
const fields = (changes: Partial<ForwardedFields>): ForwardedFields => ({
  forwardedFor: [],
  proto: [],
  host: [],
  port: [],
  forwarded: [],
  ...changes,
})
const clientOf = (...forwardedFor: string[]) => believeHops(PEER, fields({ forwardedFor }), TRUSTED).client.address

it('knows a mapped address for what it is, and IPv6 by its /64', () => {
  expect(PEER).toMatchObject({ address: '10.0.0.9', peer: '10.0.0.9', limitKey: '10.0.0.9' })
  expect(identityOfPeer('fe80::1%eth0').address).toBe('fe80::1')
  expect(identityOfPeer('2001:db8:1:2:3::4').limitKey).toBe(identityOfPeer('2001:db8:1:2::9').limitKey)
  expect(identityOfPeer('').address).toBe('::')
})

it('counts from the right and stops at the first that is no hop', () => {
  expect(clientOf('6.6.6.6, 203.0.113.7, 10.1.1.1')).toBe('203.0.113.7')
  expect(clientOf('6.6.6.6', '203.0.113.7', '10.1.1.1')).toBe('203.0.113.7')
  expect(clientOf('203.0.113.7:1234')).toBe('203.0.113.7')
  expect(clientOf('[2001:db9::7]:1234')).toBe('2001:db9::7')
  expect(clientOf('10.1.1.1, 10.2.2.2')).toBe('10.1.1.1')
  expect(clientOf()).toBe('10.0.0.9')
})

it('believes nothing beyond rubbish', () => {
  expect(clientOf('203.0.113.7, unknown')).toBe('10.0.0.9')
  expect(clientOf('203.0.113.7, 010.1.1.1, 10.3.3.3')).toBe('10.3.3.3')
  expect(clientOf('203.0.113.7, , 10.3.3.3')).toBe('203.0.113.7')
  expect(clientOf(Array.from({ length: 5_000 }, () => '10.1.1.1').join(','))).toBe('10.1.1.1')
})

it('reads Forwarded where there is no X-Forwarded-For', () => {
  const found = believeHops(
    PEER,
    fields({ forwarded: ['for=6.6.6.6;proto=http, For="[2001:db9::1]:80";Proto=HTTPS'] }),
    TRUSTED,
  )
  expect([found.client.address, found.scheme]).toEqual(['2001:db9::1', 'https'])
})

it('takes the scheme that stands beside the client', () => {
  const schemeOf = (forwardedFor: string, proto: string) =>
    believeHops(PEER, fields({ forwardedFor: [forwardedFor], proto: [proto] }), TRUSTED).scheme
  expect(schemeOf('203.0.113.7, 10.1.1.1', 'https, http')).toBe('https')
  expect(schemeOf('203.0.113.7', 'wss')).toBe('https')
  expect(schemeOf('203.0.113.7, 10.1.1.1', 'https')).toBe('https')
  expect(schemeOf('203.0.113.7', 'gopher')).toBeUndefined()
})

it('writes nodes as RFC 7239 wants them', () => {
  expect([forwardedNode('1.2.3.4'), forwardedNode('2001:db8::1')]).toEqual(['1.2.3.4', '"[2001:db8::1]"'])
})

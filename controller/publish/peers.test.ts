import { describe, expect, test } from 'vitest'
import { type Peer, Peers } from './peers.ts'

const peer = (uid: string, address: string, rest: Partial<Peer> = {}): Peer => ({
  uid,
  name: `pod-${uid}`,
  address,
  port: 9902,
  ...rest,
})

function start() {
  const clock = { now: 0 }
  const peers = new Peers(() => clock.now)
  const events: string[] = []
  peers.watch({
    added: ({ uid, address }) => events.push(`+${uid}@${address}`),
    removed: ({ uid }) => events.push(`-${uid}`),
    heard: ({ uid }, root) => events.push(`${uid} has ${root ?? '?'}`),
  })
  return { clock, peers, events }
}

describe('pods', () => {
  test('come by their own call or by the list, and go with the list and their silence', () => {
    const { clock, peers, events } = start()
    peers.prove(peer('a', '10.0.0.1'))
    peers.list([peer('a', '10.0.0.1'), peer('b', '10.0.0.2')])
    peers.list([peer('b', '10.0.0.2')])
    expect(peers.all().map(({ uid }) => uid)).toEqual(['a', 'b'])
    clock.now = 121_000
    peers.list([])
    expect(peers.all()).toEqual([])
    expect(events).toEqual(['+a@10.0.0.1', 'a has ?', '+b@10.0.0.2', '-a', '-b'])
  })

  test('have left once the list has them no more, until they give a sign of life', () => {
    const { clock, peers } = start()
    clock.now = 1_000
    peers.prove(peer('a', '10.0.0.1'))
    expect(peers.hasLeft('a')).toBe(false)
    peers.list([peer('a', '10.0.0.1'), peer('b', '10.0.0.2')])
    clock.now = 2_000
    peers.list([])
    expect(['a', 'b', 'nobody'].map((uid) => peers.hasLeft(uid))).toEqual([true, false, false])
    clock.now = 3_000
    peers.list([])
    peers.reached('a')
    expect(peers.hasLeft('a')).toBe(false)
    peers.list([peer('a', '10.0.0.1')])
    clock.now = 4_000
    peers.list([])
    expect(peers.hasLeft('a')).toBe(true)
  })

  test('that are reached stay, listed or not', () => {
    const { clock, peers } = start()
    peers.prove(peer('a', '10.0.0.1'))
    for (let minute = 1; minute <= 5; minute++) {
      clock.now = minute * 60_000
      peers.reached('a')
      peers.expire()
    }
    expect(peers.get('a')).toBeDefined()
  })

  test('have an address each: who proves to be there takes it over', () => {
    const { peers, events } = start()
    peers.prove(peer('a', '10.0.0.1'))
    peers.prove(peer('b', '10.0.0.1'))
    expect(peers.all().map(({ uid }) => uid)).toEqual(['b'])
    expect(events).toEqual(['+a@10.0.0.1', 'a has ?', '-a', '+b@10.0.0.1', 'b has ?'])
  })

  test('are where they proved to be, not where a list says; are called what the list says', () => {
    const { peers, events } = start()
    peers.prove(peer('a', '10.0.0.1', { name: 'whatever' }))
    peers.list([peer('a', '10.0.0.66', { name: 'edge-7f' })])
    expect(peers.get('a')).toEqual(peer('a', '10.0.0.1', { name: 'edge-7f' }))
    peers.prove(peer('a', '10.0.0.1', { name: 'another' }))
    expect(peers.get('a')?.name).toBe('edge-7f')
    expect(events).not.toContain('-a')
  })

  test('that were only listed move with the list; addresses that are none are left out', () => {
    const { peers, events } = start()
    peers.list([peer('a', '10.0.0.1'), peer('c', 'nowhere')])
    peers.list([peer('a', '10.0.0.2')])
    expect(events).toEqual(['+a@10.0.0.1', '-a', '+a@10.0.0.2'])
    expect(peers.get('a')?.address).toBe('10.0.0.2')
  })
})

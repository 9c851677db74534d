// When the server counts as back: after seconds without any answer, not after a failure among answers.
import { expect, test } from 'vitest'
import { Reach } from './reach.ts'

test('a return is an answer after a failure and a while without one, told once to who still listens', () => {
  let now = 0
  const reach = new Reach(() => now)
  const heard: string[] = []
  const off = reach.onReturn(() => heard.push('a'))
  reach.onReturn(() => heard.push('b'))
  now = 60_000
  // Nobody asked for long: no failure, no return.
  reach.answered()
  reach.missed()
  now += 1_000
  reach.answered()
  expect(heard).toEqual([])
  reach.missed()
  now += 5_000
  reach.answered()
  reach.answered()
  expect(heard).toEqual(['a', 'b'])
  off()
  reach.missed()
  now += 5_000
  reach.answered()
  expect(heard).toEqual(['a', 'b', 'b'])
})

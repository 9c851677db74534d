// Reading the server name: whole, cut at every byte, cut into records, and broken in every way.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { readClientHello } from './client-hello.ts'

const uint16 = (value: number) => [value >> 8, value & 255]
const extension = (type: number, data: readonly number[]) => [...uint16(type), ...uint16(data.length), ...data]
const nameEntry = (name: string, type = 0) => [type, ...uint16(name.length), ...Buffer.from(name, 'latin1')]
const nameList = (entries: readonly number[]) => extension(0, [...uint16(entries.length), ...entries])

function helloMessage(extensions: readonly number[] | null): number[] {
  const body = [
    ...[3, 3],
    ...new Array<number>(32).fill(7),
    ...[0],
    ...uint16(2),
    ...[0x13, 0x01],
    ...[1, 0],
    ...(extensions === null ? [] : [...uint16(extensions.length), ...extensions]),
  ]
  return [1, 0, ...uint16(body.length), ...body]
}

function records(message: readonly number[], size = 16_384): Uint8Array {
  const bytes: number[] = []
  for (let at = 0; at < message.length; at += size) {
    const part = message.slice(at, at + size)
    bytes.push(22, 3, 1, ...uint16(part.length), ...part)
  }
  return Uint8Array.from(bytes)
}

const plain = records(helloMessage([...extension(43, [2, 3, 4]), ...nameList(nameEntry('one.test'))]))

describe('readClientHello', () => {
  it('finds the name, or none', () => {
    expect(readClientHello(plain)).toEqual({ type: 'hello', serverName: 'one.test' })
    expect(readClientHello(records(helloMessage([])))).toEqual({ type: 'hello', serverName: '' })
    expect(readClientHello(records(helloMessage(null)))).toEqual({ type: 'hello', serverName: '' })
    expect(readClientHello(records(helloMessage(nameList(nameEntry('__proto__')))))).toEqual({
      type: 'hello',
      serverName: '__proto__',
    })
  })

  it('waits for what is missing, wherever the bytes are cut', () => {
    const cut = records(helloMessage(nameList(nameEntry('one.test'))), 7)
    for (const bytes of [plain, cut]) {
      for (let length = 0; length < bytes.length; length += 1) {
        const result = readClientHello(bytes.subarray(0, length))
        expect(result.type).toBe('more')
        if (result.type === 'more') expect(result.length).toBeGreaterThan(length)
      }
      expect(readClientHello(bytes)).toEqual({ type: 'hello', serverName: 'one.test' })
    }
  })

  it.each([
    ['no handshake', Uint8Array.of(23)],
    ['no TLS', Buffer.from('GET / HTTP/1.1\r\n\r\n')],
    ['an empty record', Uint8Array.of(22, 3, 1, 0, 0)],
    ['a record that is too long', Uint8Array.of(22, 3, 1, 64, 1)],
    ['another message', records([2, 0, 0, 1, 0])],
    ['a message that is too long', records([1, 1, 0, 0, 0])],
    ['too many records', records(helloMessage(nameList(nameEntry('a.very.long.name.test'))), 1)],
    ['two lists of names', records(helloMessage([...nameList(nameEntry('a')), ...nameList(nameEntry('b'))]))],
    ['two names', records(helloMessage(nameList([...nameEntry('a'), ...nameEntry('b')])))],
    ['a name of another type', records(helloMessage(nameList(nameEntry('a', 1))))],
    ['an empty name', records(helloMessage(nameList(nameEntry(''))))],
    ['an extension that is cut', records(helloMessage([0, 0, 0, 9, 0]))],
    ['a body that is cut', records([1, 0, 0, 4, 3, 3, 0, 0])],
  ])('refuses %s', (_what, bytes) => {
    expect(readClientHello(bytes)).toEqual({ type: 'invalid' })
  })

  it('never throws and never asks for less than it has', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(plain.length - 1), fc.nat(255)), { maxLength: 4 }),
        fc.nat(plain.length),
        (changes, length) => {
          const bytes = Uint8Array.from(plain)
          for (const [at, value] of changes) bytes[at] = value
          const result = readClientHello(bytes.subarray(0, length))
          if (result.type === 'more') expect(result.length).toBeGreaterThan(length)
        },
      ),
      { numRuns: 5000 },
    )
  })
})

import { mkdtemp, readFile, rename, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createAccessLogSink, type SinkFiles } from './access-log-sink.ts'

function lines(count: number, text = 'x'): Uint8Array {
  return Buffer.from(`${text}\n`.repeat(count))
}

/** Files that do what the test says at each write: a number of bytes taken, or an error code. */
function scripted(script: (number | string)[]): { files: SinkFiles; written: () => string; opened: () => number } {
  let text = ''
  let opened = 0
  return {
    written: () => text,
    opened: () => opened,
    files: {
      open: (_path, done) => {
        opened++
        setImmediate(done, null, 10 + opened)
      },
      close: () => {},
      identity: () => 'same',
      write: (_descriptor, bytes, done) => {
        const next = script.length > 1 ? script.shift() : script[0]
        setImmediate(() => {
          if (typeof next === 'string') return done(Object.assign(new Error(next), { code: next }), 0)
          const taken = Math.min(next ?? bytes.byteLength, bytes.byteLength)
          text += Buffer.from(bytes.subarray(0, taken)).toString()
          return done(null, taken)
        })
      },
    },
  }
}

describe('sink with a difficult file', () => {
  it('finishes what it began: partial writes, EAGAIN and a disk that was full for a while', async () => {
    const { files, written } = scripted([3, 'EAGAIN', 2, 'ENOSPC', 'ENOSPC', 1e9])
    const problems: string[] = []
    const sink = createAccessLogSink({
      target: { file: '/log' },
      files,
      retry: 1,
      onProblem: (problem) => problems.push(problem),
    })
    let done = 0
    for (let batch = 0; batch < 3; batch++) sink.write(lines(2, `b${batch}`), 2, () => done++)
    await sink.flush(1_000)
    expect(written()).toBe('b0\nb0\nb1\nb1\nb2\nb2\n')
    expect([done, sink.dropped]).toEqual([3, 0])
    // EAGAIN is a slow reader and no trouble; a full disk is said once, and that it is over.
    expect(problems).toEqual(['access log: ENOSPC', ''])
    sink.close()
  })

  it('drops whole batches beyond its bound, counts them, and holds no memory for them', async () => {
    const { files } = scripted(['ENOSPC'])
    const sink = createAccessLogSink({ target: { file: '/log' }, files, retry: 1, limit: 100 })
    let done = 0
    for (let batch = 0; batch < 10; batch++) sink.write(lines(20), 20, () => done++)
    expect(sink.dropped).toBe(160)
    expect(done).toBe(8)
    await sink.flush(20)
    // What could not be written by the end is counted too.
    expect([sink.dropped, done]).toEqual([200, 10])
    sink.close()
  })
})

describe('sink with a real file', () => {
  let folder = ''
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'atrium-log-'))
  })
  afterEach(() => rm(folder, { recursive: true, force: true }))

  it('appends, and opens the file anew when told to or when it was moved away', async () => {
    const file = join(folder, 'access.log')
    const sink = createAccessLogSink({ target: { file } })
    sink.write(lines(1, 'one'), 1, () => {})
    await sink.flush(1_000)
    await rename(file, `${file}.1`)
    sink.write(lines(1, 'two'), 1, () => {})
    await sink.flush(1_000)
    sink.reopen()
    sink.write(lines(1, 'three'), 1, () => {})
    await sink.flush(1_000)
    expect(await readFile(`${file}.1`, 'utf8')).toBe('one\ntwo\n')
    expect(await readFile(file, 'utf8')).toBe('three\n')
    // Without being told: the check once a second sees that the path means another file.
    await rename(file, `${file}.2`)
    await expect.poll(() => readFile(file, 'utf8').catch(() => 'not yet'), { timeout: 5_000 }).toBe('')
    sink.close()
  })

  it('goes on in the old file where the new one cannot be opened', async () => {
    const file = join(folder, 'access.log')
    const sink = createAccessLogSink({ target: { file }, retry: 5 })
    sink.write(lines(1, 'one'), 1, () => {})
    await sink.flush(1_000)
    await rm(folder, { recursive: true })
    sink.reopen()
    sink.write(lines(1, 'two'), 1, () => {})
    await sink.flush(1_000)
    expect(sink.dropped).toBe(0)
    sink.close()
  })
})

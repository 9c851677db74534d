// Reads one file as text, with every bound that keeps a strange file from hurting: regular, small, UTF-8.
// file-source calls it for each changed file. Synchronous on purpose: a small read is faster than a thread hop.
import { type BigIntStats, closeSync, constants, fstatSync, openSync, readSync } from 'node:fs'
import { codeOf, type Identity, identityOf, specialName } from './walk-folder.ts'

/** The largest file that is read, in bytes. */
const MAX_FILE_BYTES = 4 * 1024 * 1024

/** The text with the identity it was read under, or why there is none. `gone`: nothing stands there any more. */
export type TextResult =
  | { readonly text: string; readonly identity: Identity }
  | { readonly refused: string }
  | { readonly gone: true }

/** Reads the file at a path without links. Never throws. */
export function readText(real: string): TextResult {
  let descriptor: number
  try {
    // NONBLOCK: opening a FIFO must not wait for a writer. NOFOLLOW: the path was checked without its links.
    descriptor = openSync(real, constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0))
  } catch (error) {
    const code = codeOf(error)
    return code === 'ENOENT' ? { gone: true } : { refused: `cannot be read (${code})` }
  }
  try {
    const stat = fstatSync(descriptor, { bigint: true })
    if (!stat.isFile()) return { refused: `is ${specialName(stat)}, so it is not read` }
    return readRegular(descriptor, stat)
  } catch (error) {
    return { refused: `cannot be read (${codeOf(error)})` }
  } finally {
    closeSync(descriptor)
  }
}

function readRegular(descriptor: number, stat: BigIntStats): TextResult {
  const tooLarge = { refused: `is larger than ${MAX_FILE_BYTES / 1024 / 1024} MiB, so it is not read; split it` }
  if (stat.size > MAX_FILE_BYTES) return tooLarge
  const chunks: Buffer[] = []
  let total = 0
  for (;;) {
    // One byte more than the file says, so that a file that grows meanwhile is read on.
    const chunk = Buffer.allocUnsafe(Math.max(Number(stat.size) - total, 0) + 4096)
    const count = readSync(descriptor, chunk, 0, chunk.length, null)
    if (count === 0) break
    total += count
    if (total > MAX_FILE_BYTES) return tooLarge
    chunks.push(chunk.subarray(0, count))
  }
  const bytes = chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : Buffer.concat(chunks, total)
  try {
    return { text: new TextDecoder('utf-8', { fatal: true }).decode(bytes), identity: identityOf(stat) }
  } catch {
    return { refused: 'is not UTF-8 text, so it is not read' }
  }
}

// Tar archives (POSIX ustar) that come out the same bytes for the same content: sorted by the caller, no times, no owners.
// Part of image.ts, which must not depend on the tar of the machine.

/** One entry. Paths have no leading slash; folders have no body. */
export interface TarEntry {
  readonly path: string
  /** Permission bits. */
  readonly mode: number
  readonly body?: Uint8Array
  /** Target of a symbolic link. */
  readonly link?: string
}

const BLOCK = 512
const LONGEST_NAME = 100
const LONGEST_PREFIX = 155

/** The chunks of an archive. Throws a RangeError where a path is too long for the format. */
export function* tarChunks(entries: Iterable<TarEntry>): Generator<Uint8Array> {
  for (const entry of entries) {
    yield header(entry)
    if (entry.body === undefined) continue
    yield entry.body
    const rest = entry.body.byteLength % BLOCK
    if (rest > 0) yield new Uint8Array(BLOCK - rest)
  }
  yield new Uint8Array(2 * BLOCK)
}

function header({ path, mode, body, link }: TarEntry): Uint8Array {
  const block = Buffer.alloc(BLOCK)
  const [prefix, name] = splitPath(body === undefined && link === undefined ? `${path}/` : path)
  block.write(name, 0)
  block.write(octal(mode, 7), 100)
  block.write(octal(0, 7), 108)
  block.write(octal(0, 7), 116)
  block.write(octal(body?.byteLength ?? 0, 11), 124)
  block.write(octal(0, 11), 136)
  block.write(' '.repeat(8), 148)
  block.write(link !== undefined ? '2' : body === undefined ? '5' : '0', 156)
  if (link !== undefined) {
    if (Buffer.byteLength(link) > LONGEST_NAME) throw new RangeError(`a link too long for tar: ${link}`)
    block.write(link, 157)
  }
  block.write('ustar\0', 257)
  block.write('00', 263)
  block.write(prefix, 345)
  let sum = 0
  for (const byte of block) sum += byte
  block.write(`${octal(sum, 6)}\0 `, 148)
  return block
}

function octal(value: number, digits: number): string {
  return value.toString(8).padStart(digits, '0')
}

function splitPath(path: string): readonly [prefix: string, name: string] {
  if (Buffer.byteLength(path) <= LONGEST_NAME) return ['', path]
  for (let slash = path.indexOf('/'); slash !== -1; slash = path.indexOf('/', slash + 1)) {
    const [prefix, name] = [path.slice(0, slash), path.slice(slash + 1)]
    if (Buffer.byteLength(prefix) > LONGEST_PREFIX) break
    if (name !== '' && Buffer.byteLength(name) <= LONGEST_NAME) return [prefix, name]
  }
  throw new RangeError(`a path too long for tar: ${path}`)
}

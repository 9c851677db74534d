// The hash of a limiter's key: HalfSipHash-2-4 with 64 bits out (Aumasson and Bernstein, SipHash, 2012) over UTF-16 code
// units. Keyed with random words of the process, so that no client can choose keys that meet in one bucket. Pure.

/** Four random 32-bit words, the same in all threads of a process. */
export interface HashSeed {
  readonly words: readonly [number, number, number, number]
}

/** Hashes one key. `low` and `high` hold the last result, so that no object is made for each request. */
export class KeyHash {
  low = 0
  high = 0
  readonly #seed: readonly [number, number, number, number]

  constructor(seed: HashSeed) {
    this.#seed = seed.words
  }

  /** Hashes `key` into `low` and `high`, 32 bits each. Never both 0, which stands for an empty place. */
  run(key: string): void {
    this.low = half(key, this.#seed[0], this.#seed[1])
    // Two independent keyed runs: 64 bits of key each, and a collision needs both.
    this.high = half(key, this.#seed[2], this.#seed[3])
    if (this.low === 0 && this.high === 0) this.low = 1
  }
}

// Written out in one loop: a closure over the four words would box each of them on every assignment.
function half(key: string, key0: number, key1: number): number {
  let v0 = key0
  let v1 = key1
  let v2 = 0x6c796765 ^ key0
  let v3 = 0x74656462 ^ key1
  const length = key.length
  const words = (length >> 1) + 1
  // Two rounds for each word; after the last one four more, which finish.
  for (let index = 0; index <= words; index++) {
    const finishing = index === words
    let word = 0
    if (finishing) {
      v2 ^= 0xff
    } else if (index === words - 1) {
      word = (length << 24) | ((length & 1) === 1 ? key.charCodeAt(length - 1) : 0)
    } else {
      word = key.charCodeAt(index * 2) | (key.charCodeAt(index * 2 + 1) << 16)
    }
    v3 ^= word
    for (let round = finishing ? 4 : 2; round > 0; round--) {
      v0 = (v0 + v1) | 0
      v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0
      v0 = (v0 << 16) | (v0 >>> 16)
      v2 = (v2 + v3) | 0
      v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2
      v0 = (v0 + v3) | 0
      v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0
      v2 = (v2 + v1) | 0
      v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2
      v2 = (v2 << 16) | (v2 >>> 16)
    }
    v0 ^= word
  }
  return v1 ^ v3
}

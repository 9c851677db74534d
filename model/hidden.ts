// A value that must never be printed: private keys above all. Pure. Whoever needs the content calls `reveal`, which
// is easy to search for; every printer (JSON, string templates, node:util inspect) sees the word hidden.

const INSPECT = Symbol.for('nodejs.util.inspect.custom')

/** Holds a secret. Prints as `(hidden)`. Not structured-cloneable by accident: `reveal` first, on purpose. */
export class Hidden<Content> {
  readonly #content: Content

  constructor(content: Content) {
    this.#content = content
  }

  /** The content. Call it where the bytes are used, never to pass them on in the clear. */
  reveal(): Content {
    return this.#content
  }

  toJSON(): string {
    return '(hidden)'
  }

  toString(): string {
    return '(hidden)'
  }

  [INSPECT](): string {
    return '(hidden)'
  }
}

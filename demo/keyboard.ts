// Keys one by one from a terminal, without Enter. Only for a real terminal; gives it back as it was.

/** Calls `pressed` for every key until the returned function is called. */
export function onKeys(input: NodeJS.ReadStream, pressed: (key: string) => void): () => void {
  if (!input.isTTY) return () => undefined
  const listen = (data: Buffer) => {
    const text = data.toString('utf8')
    // A pasted text comes in one piece and so does an escape sequence; only the sequence is one key.
    if (text.startsWith('\u001b')) return pressed(text.length === 1 ? text : '')
    for (const key of text) pressed(key)
  }
  input.setRawMode(true)
  input.resume()
  input.on('data', listen)
  return () => {
    input.off('data', listen)
    input.setRawMode(false)
    input.pause()
  }
}

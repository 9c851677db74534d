// Closing in stages (RFC 9112 section 9.6): half close, go on reading for a while, then close. A close with unread
// bytes makes the kernel send a reset, and the client may lose the answer that it has not read yet.
import type { Socket } from 'node:net'

/** Milliseconds without a byte from the client, milliseconds in all, and bytes, after which nobody waits any longer. */
const QUIET_TIME = 2_000
const MOST_TIME = 10_000
const MOST_BYTES = 1_073_741_824
const LOOK_EVERY = 250

/**
 * Ends our side once everything written has gone out, and the whole socket when the client has ended too or the time is
 * up. Whoever reads the socket (a parser, or nobody after `resume`) goes on reading; the bytes must go nowhere.
 */
export function closeInStages(socket: Socket): void {
  if (socket.destroyed) return
  const startedAt = performance.now()
  const startBytes = socket.bytesRead
  let seenBytes = startBytes
  let seenAt = startedAt
  socket.end()
  // The client may have ended already, which nobody will tell us again.
  if (socket.readableEnded) {
    if (socket.writableFinished) socket.destroy()
    else socket.once('finish', () => socket.destroy())
    return
  }
  socket.resume()
  const timer = setInterval(() => {
    const now = performance.now()
    if (socket.bytesRead !== seenBytes || socket.writableLength > 0) {
      seenBytes = socket.bytesRead
      seenAt = now
    }
    const over = now - startedAt > MOST_TIME || now - seenAt > QUIET_TIME || seenBytes - startBytes > MOST_BYTES
    if (over) socket.destroy()
  }, LOOK_EVERY)
  timer.unref()
  socket.once('end', () => {
    if (socket.writableFinished) socket.destroy()
    else socket.once('finish', () => socket.destroy())
  })
  socket.once('close', () => clearInterval(timer))
}

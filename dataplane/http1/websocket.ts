// Judges a 101: is it the answer to the WebSocket handshake that was sent (RFC 6455 section 4.1)? Pure but for the hash.
// connection.ts asks before it turns a connection into a tunnel.
import { createHash } from 'node:crypto'
import { listHas, type ResponseHead } from './response-head.ts'

const WEBSOCKET_GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'

/** Whether `head` says Upgrade: websocket, Connection: Upgrade and the accept value of `key`, each without doubt. */
export function acceptsWebsocket(head: ResponseHead, key: string): boolean {
  let accept: string | undefined
  let upgrade = false
  let connection = false
  for (let index = 0; index < head.fields.length; index += 2) {
    const value = head.fields[index + 1] as string
    switch ((head.fields[index] as string).toLowerCase()) {
      case 'sec-websocket-accept':
        if (accept !== undefined) return false
        accept = value
        break
      case 'upgrade':
        if (upgrade || value.toLowerCase() !== 'websocket') return false
        upgrade = true
        break
      case 'connection':
        connection = connection || listHas(value, 'upgrade')
        break
      default:
    }
  }
  if (key === '' || !upgrade || !connection) return false
  return (
    accept ===
    createHash('sha1')
      .update(key + WEBSOCKET_GUID)
      .digest('base64')
  )
}

// Before workers share a port: is it free, and can this machine share one at all? main.ts asks once at the start.
import { createServer } from 'node:net'

/** A port that cannot be had. `code` is that of the system. */
export class PortTaken extends Error {
  override readonly name = 'PortTaken'
  readonly port: number
  readonly code: string

  constructor(port: number, code: string, message: string) {
    super(message)
    this.port = port
    this.code = code
  }
}

/**
 * Makes sure that nobody listens on the port. Workers share it among themselves, so without this a second Atrium would
 * silently take half of the first one's connections. Port 0 is always free.
 * @throws PortTaken
 */
export async function claimPort(host: string, port: number): Promise<void> {
  if (port === 0) return
  try {
    await openAndClose({ host, port, exclusive: true })
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : ''
    throw new PortTaken(port, code, portSentence(host, port, code))
  }
}

/** Whether several threads can listen on one port here (SO_REUSEPORT with the kernel spreading connections). */
export async function canSharePorts(): Promise<boolean> {
  try {
    await openAndClose({ host: '127.0.0.1', port: 0, reusePort: true })
    return true
  } catch {
    return false
  }
}

/** What to tell the user about a port that cannot be had. */
function portSentence(host: string, port: number, code: string): string {
  if (code === 'EADDRINUSE') return `port ${port} is in use by another process`
  if (code === 'EACCES') return `port ${port} needs more rights than this process has; choose one above 1023`
  if (code === 'EADDRNOTAVAIL') return `${host} is no address of this machine`
  return `port ${port} of ${host} cannot be opened (${code === '' ? 'unknown reason' : code})`
}

async function openAndClose(options: {
  readonly host: string
  readonly port: number
  readonly exclusive?: boolean
  readonly reusePort?: boolean
}): Promise<void> {
  const server = createServer()
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(options, () => resolve())
  })
  await new Promise<void>((resolve) => {
    server.close(() => resolve())
  })
}

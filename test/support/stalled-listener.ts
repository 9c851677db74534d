// A port on the loopback address that completes no further handshake: its process is stopped and its short accept queue
// is full, so the kernel drops every SYN. For connect timeouts without leaving the machine.
import { spawn } from 'node:child_process'
import net from 'node:net'

const SCRIPT =
  "const s=require('node:net').createServer();s.listen({port:0,host:'127.0.0.1',backlog:1},()=>process.stdout.write(String(s.address().port)))"

/** Starts one; `close` ends its process and the connections that fill its queue. */
export async function stalledListener(): Promise<{ readonly port: number; close(): void }> {
  const child = spawn(process.execPath, ['-e', SCRIPT], { stdio: ['ignore', 'pipe', 'inherit'] })
  const port = await new Promise<number>((resolve) =>
    child.stdout.once('data', (data) => resolve(Number(String(data)))),
  )
  child.kill('SIGSTOP')
  const fillers: net.Socket[] = []
  const close = (): void => {
    for (const socket of fillers) socket.destroy()
    child.kill('SIGKILL')
  }
  for (let count = 0; count < 16; count += 1) {
    const socket = net.connect(port, '127.0.0.1').on('error', () => {})
    fillers.push(socket)
    const connected = await new Promise<boolean>((resolve) => {
      socket.once('connect', () => resolve(true))
      setTimeout(() => resolve(false), 200)
    })
    if (!connected) return { port, close }
  }
  close()
  throw new Error('the accept queue did not fill')
}

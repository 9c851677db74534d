// A backend in a thread of its own, so that it acts while the test's thread is busy. As plain JavaScript, because it is
// the entry of a worker. Modes: `refuse` answers 413 at the first byte, reads nothing and closes, which resets the
// connection; `reset` answers one request and resets the connection 10 ms later.
import net from 'node:net'
import { parentPort, workerData } from 'node:worker_threads'

const REFUSAL = 'HTTP/1.1 413 Content Too Large\r\nContent-Length: 7\r\nConnection: close\r\n\r\ntoo big'
const ANSWER = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'

const server = net.createServer({ noDelay: true }, (socket) => {
  socket.on('error', () => {})
  if (workerData === 'reset') {
    socket.once('data', () => {
      socket.write(ANSWER)
      setTimeout(() => socket.resetAndDestroy(), 10)
    })
    return
  }
  socket.once('data', () => {
    socket.pause()
    // Data is left unread: the close makes the kernel send a reset behind the answer.
    socket.write(REFUSAL, () => socket.destroy())
  })
})
server.listen(0, '127.0.0.1', () => parentPort.postMessage(server.address().port))

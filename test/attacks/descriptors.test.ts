// More connections than the process may have descriptors: no worker dies, the admin listener answers, who serves is served.
import { spawn } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { startBackend } from '../support/backend.ts'
import { ask, createTrial, pause } from '../support/trial.ts'
import { route, service, tenant, to, world } from '../support/world.ts'

const trial = createTrial()

async function startLimited(yaml: string, descriptors: number): Promise<{ port: number; admin: string }> {
  const folder = await mkdtemp(join(tmpdir(), 'atrium-descriptors-'))
  await writeFile(join(folder, 'world.yaml'), yaml)
  const flags = ['--port', '0', '--tls-port', 'off', '--admin-port', '0', '--workers', '2', '--drain', '0s']
  const more = ['--config', folder, '--allow-endpoints', '127.0.0.0/8', '--access-log', 'off', '--color', 'never']
  const child = spawn(
    'bash',
    [
      '-c',
      `ulimit -n ${descriptors}; exec "$@"`,
      'limited',
      process.execPath,
      'bin/atrium.ts',
      'standalone',
      ...flags,
      ...more,
    ],
    { stdio: ['ignore', 'ignore', 'pipe'], env: { PATH: process.env['PATH'] ?? '' } },
  )
  const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  await trial.keep({
    close: async () => {
      child.kill('SIGKILL')
      await gone
      await rm(folder, { recursive: true })
    },
  })
  let said = ''
  for await (const text of child.stderr.setEncoding('utf8')) {
    said += String(text)
    const found = /http ([0-9]+) {3}admin (http:\/\/\S+)/.exec(said)
    if (found !== null) return { port: Number(found[1]), admin: found[2] ?? '' }
  }
  throw new Error(said)
}

it('live through a flood of connections that say half a head', { timeout: 60_000 }, async () => {
  const backend = await trial.keep(startBackend('web'))
  const { port, admin } = await startLimited(
    world(tenant(['a.test']), service('web', [backend.port]), route('r', ['a.test'], [to('web')])),
    200,
  )
  const sockets: Socket[] = []
  await trial.keep({
    close: () => {
      for (const socket of sockets) socket.destroy()
    },
  })
  for (let count = 0; count < 400; count += 1) {
    const socket = connect(port, '127.0.0.1')
    socket.on('error', () => {})
    socket.write('GET / HTTP/1.1\r\nHost: a')
    sockets.push(socket)
    if (count % 20 === 0) await pause(10)
  }
  await pause(1_500)
  const status = (await (await fetch(`${admin}/status`)).json()) as { workers: unknown }
  expect(status.workers).toEqual({ ready: 2, all: 2, restarts: 0 })
  expect((await ask(port, 'a.test', '/')).text).toBe('web')
})

// TC-11: one final answer, also when the backend refuses before it has read; no 502, no reset, no stall.
import { createHash } from 'node:crypto'
import { expect, it } from 'vitest'
import { startBackend } from '../support/backend.ts'
import { field } from '../support/client-call.ts'
import { RawClient } from '../support/raw-client.ts'
import { createTrial, pause } from '../support/trial.ts'
import { route, service, tenant, to, world } from '../support/world.ts'

const trial = createTrial()
const SIZE = 200_000_000

async function setUp() {
  const backend = await trial.keep(
    startBackend('in', (req, res) => {
      if (req.url === '/no') {
        res.writeHead(413, { connection: 'close' }).end('too much')
        return
      }
      if (req.url === '/ok') res.writeContinue()
      const hash = createHash('sha256')
      req.on('data', (chunk: Buffer) => hash.update(chunk))
      req.on('end', () => res.writeHead(req.url === '/ok' ? 201 : 200).end(hash.digest('hex')))
    }),
  )
  const gateway = await trial.gateway(
    world(
      tenant(['in.test'], { limits: { bodySize: '1Gi' } }),
      service('in', [backend.port]),
      route('r1', ['in.test'], [to('in')]),
    ),
  )
  return { backend, gateway }
}

const head = (target: string, length: number, expect = false) =>
  `POST ${target} HTTP/1.1\r\nHost: in.test\r\nContent-Length: ${length}\r\n${expect ? 'Expect: 100-continue\r\n' : ''}\r\n`

it('passes the leave to send, then exactly one final answer', async () => {
  const { gateway } = await setUp()
  const body = Buffer.alloc(2_000_000, 'body ')
  const client = await RawClient.connect(gateway.port)
  await client.send(head('/ok', body.length, true))
  expect(await client.line()).toBe('HTTP/1.1 100 Continue')
  expect(await client.fieldLines()).toEqual([])
  await client.send(body)
  const answer = await client.answer('POST')
  expect([answer.status, answer.interim, answer.body.toString()]).toEqual([
    201,
    [],
    createHash('sha256').update(body).digest('hex'),
  ])
  // The connection is clean: the next request is answered as itself.
  expect((await client.request('GET /plain HTTP/1.1\r\nHost: in.test\r\n\r\n')).status).toBe(200)
  client.destroy()
})

it('does not stall a client whose backend never says 100', async () => {
  const { gateway } = await setUp()
  const client = await RawClient.connect(gateway.port)
  await client.send(head('/plain', 5, true))
  const started = performance.now()
  expect(await client.line()).toBe('HTTP/1.1 100 Continue')
  await client.fieldLines()
  expect(performance.now() - started).toBeLessThan(2_000)
  await client.send('hello')
  expect((await client.answer('POST')).status).toBe(200)
  client.destroy()
})

it('lets a refusal through to a client that goes on sending, 20 times', { timeout: 120_000 }, async () => {
  const { gateway } = await setUp()
  const part = Buffer.alloc(1_048_576)
  for (let at = 0; at < 20; at += 1) {
    const client = await RawClient.connect(gateway.port)
    await client.send(head('/no', SIZE))
    // The rudest client: it writes all of it before it reads a byte of the answer.
    let sent = 0
    for (; sent < SIZE && client.error === ''; sent += part.length) {
      await client.send(part.subarray(0, Math.min(part.length, SIZE - sent)))
    }
    const answer = await client.answer('POST')
    expect([at, client.error, answer.status, answer.body.toString()]).toEqual([at, '', 413, 'too much'])
    expect(field(answer.fields, 'connection')).toBe('close')
    await client.closed()
    expect(client.error).toBe('')
    client.destroy()
  }
  expect(gateway.context.records.map(({ status, error }) => `${status} ${error}`)).toEqual(Array(20).fill('413 null'))
})

it('lets a refusal through to a client that waits, 20 times', async () => {
  const { gateway } = await setUp()
  for (let at = 0; at < 20; at += 1) {
    const client = await RawClient.connect(gateway.port)
    const answer = await client.request(head('/no', SIZE, true), 'POST')
    expect([at, answer.status, answer.interim.length]).toEqual([at, 413, 0])
    client.destroy()
  }
})

it('gives the gateway’s own refusals the same care', async () => {
  const { gateway } = await setUp()
  for (const [host, target, status] of [
    ['in.test', '/no', 413],
    ['nobody.test', '/', 404],
    ['in.test', '/%zz', 400],
  ] as const) {
    const size = target === '/no' ? 2_000_000_000 : SIZE
    const client = await RawClient.connect(gateway.port)
    await client.send(`POST ${target} HTTP/1.1\r\nHost: ${host}\r\nContent-Length: ${size}\r\n\r\n`)
    const part = Buffer.alloc(1_048_576)
    for (let sent = 0; sent < SIZE && client.error === ''; sent += part.length) await client.send(part)
    const answer = await client.answer('POST')
    expect([answer.status, client.error]).toEqual([status, ''])
    client.destroy()
  }
  await pause(1)
})

// TC-09: each event of a stream at once, the head before the first; the backend hears when the client leaves.
import { expect, it } from 'vitest'
import { startBackend } from '../support/backend.ts'
import { field } from '../support/client-call.ts'
import { RawClient } from '../support/raw-client.ts'
import { createTrial, pause, until } from '../support/trial.ts'
import { route, service, tenant, to, world } from '../support/world.ts'

const trial = createTrial()

it('holds nothing back and lets the backend know', async () => {
  let send: ((text: string) => void) | undefined
  let left = false
  const backend = await trial.keep(
    startBackend('events', (req, res) => {
      res.writeHead(200, { 'content-type': 'text/event-stream' })
      res.flushHeaders()
      send = (text) => void res.write(text)
      res.on('close', () => {
        left = true
      })
      req.resume()
    }),
  )
  const gateway = await trial.gateway(
    world(tenant(['ev.test']), service('ev', [backend.port]), route('r1', ['ev.test'], [to('ev', '/s')])),
  )
  const client = await RawClient.connect(gateway.port)
  await client.send('GET /s HTTP/1.1\r\nHost: ev.test\r\nAccept-Encoding: gzip\r\n\r\n')
  const head = await client.head()
  expect([head.status, field(head.fields, 'content-type')]).toEqual([200, 'text/event-stream'])
  expect(field(head.fields, 'transfer-encoding')).toBe('chunked')
  const framing = { type: 'chunked' } as const
  // Each event is read before the next is sent: whatever were held back would stop the test here.
  for (let event = 0; event < 5; event += 1) {
    await pause(20)
    send?.(`data: ${event}\n\n`)
    expect(Buffer.from((await client.body(framing)) ?? []).toString()).toBe(`data: ${event}\n\n`)
  }
  client.destroy()
  await until(() => left)
  await until(() => gateway.context.records.length === 1)
  expect(gateway.context.records[0]).toMatchObject({ status: 200, aborted: true, error: null })
})

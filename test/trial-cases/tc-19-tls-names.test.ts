// TC-19, over HTTP/1.1: names in other case, with an end dot or a port, deeper names, and other hosts on a connection.
import { X509Certificate } from 'node:crypto'
import type { TLSSocket } from 'node:tls'
import { expect, it } from 'vitest'
import { makeCa, makeLeaf } from '../support/certificates.ts'
import { startBackend } from '../support/backend.ts'
import { field } from '../support/client-call.ts'
import { startGateway } from '../support/gateway.ts'
import { RawClient } from '../support/raw-client.ts'
import { createTrial } from '../support/trial.ts'
import { certificate, route, service, tenant, to, world } from '../support/world.ts'

const trial = createTrial()

async function setUp() {
  const a = await trial.keep(startBackend('A'))
  const w = await trial.keep(startBackend('W'))
  const ca = await makeCa()
  const tls = (name: string) => ({ tls: { certificateRefs: [{ name }] } })
  const yaml = world(
    tenant(['one.test']),
    tenant(['*.wild.test'], {}, 'wild', 'wild'),
    certificate('one', await makeLeaf(ca, { names: ['one.test'] })),
    certificate('wild', await makeLeaf(ca, { names: ['*.wild.test', '*.b.wild.test'] }), 'wild'),
    service('a', [a.port]),
    service('w', [w.port], 'wild'),
    route('one', ['one.test'], [to('a')], tls('one')),
    route('wild', ['*.wild.test'], [to('w')], tls('wild'), 'wild'),
  )
  const gateway = await trial.gateway(yaml, { tls: {} })
  const open = (servername: string) =>
    RawClient.connect(gateway.tlsPort, { servername, ca: [ca.pem], checkServerIdentity: () => undefined })
  const get = async (client: RawClient, host: string) => {
    const answer = await client.request(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`)
    return [answer.status, answer.status === 200 ? answer.body.toString() : field(answer.fields, 'x-atrium-error')]
  }
  return { gateway, yaml, open, get }
}

function subjectOf(client: RawClient): string {
  const peer = (client.socket as TLSSocket).getPeerX509Certificate()
  return peer instanceof X509Certificate ? peer.subject : ''
}

it('serves one site under every spelling of its name', async () => {
  const { open, get } = await setUp()
  for (const servername of ['one.test', 'ONE.Test']) {
    const client = await open(servername)
    expect(subjectOf(client)).toBe('CN=one.test')
    for (const host of ['one.test', 'One.TEST', 'one.test.', 'one.test:8443', 'ONE.test.:443']) {
      expect([host, ...(await get(client, host))]).toEqual([host, 200, 'A'])
    }
    client.destroy()
  }
})

it('takes a wildcard for one or more labels, never for none', async () => {
  const { open, get } = await setUp()
  const client = await open('b.wild.test')
  expect(subjectOf(client)).toBe('CN=wildcard.wild.test')
  for (const host of ['b.wild.test', 'c.wild.test', 'a.b.wild.test'])
    expect(await get(client, host)).toEqual([200, 'W'])
  expect(await get(client, 'wild.test')).toEqual([404, 'NoHost'])
  client.destroy()
  const deep = await open('a.b.wild.test')
  expect(await get(deep, 'a.b.wild.test')).toEqual([200, 'W'])
  deep.destroy()
})

it('answers 421 for another tenant’s host, and nothing of either', async () => {
  const { open, get } = await setUp()
  const wild = await open('b.wild.test')
  expect(await get(wild, 'one.test')).toEqual([421, 'MisdirectedRequest'])
  expect(await get(wild, 'b.wild.test')).toEqual([200, 'W'])
  wild.destroy()
  const one = await open('one.test')
  expect(await get(one, 'b.wild.test')).toEqual([421, 'MisdirectedRequest'])
  one.destroy()
})

it('ends the handshake for a name that nobody has', async () => {
  const { open } = await setUp()
  await expect(open('nobody.test')).rejects.toThrow()
})

it('takes a rule in capitals for the same name, or refuses it', async () => {
  const { yaml } = await setUp()
  const gateway = await trial.keep(
    startGateway(yaml.replace('"hostnames":["one.test"],"rules"', '"hostnames":["ONE.test"],"rules"'), { tls: {} }),
  )
  const rejected = gateway.result.issues.filter(({ severity }) => severity === 'rejects')
  const served = gateway.hosts.lookup('one.test') !== undefined
  expect(served || rejected.length > 0).toBe(true)
})

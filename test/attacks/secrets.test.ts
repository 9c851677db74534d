// Canaries: key material and secrets of requests, planted in every wrong form, are in nothing that the gateway says.
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { makeCa, makeLeaf } from '../support/certificates.ts'
import { startAtrium } from '../support/command.ts'
import { RawClient } from '../support/raw-client.ts'
import { createTrial } from '../support/trial.ts'
import { route, service, tenant, to, world } from '../support/world.ts'

const trial = createTrial()
const canary = (number: number) => `CANARY${number}SECRET`
const base64 = (text: string) => Buffer.from(text).toString('base64')
const secret = (name: string, body: string) =>
  `apiVersion: v1\nkind: Secret\nmetadata: { namespace: prod, name: ${name} }\n${body}`

/** Secrets as people get them wrong, and one that is right. */
function secretsOf(leaf: { certPem: string; keyPem: string }): readonly string[] {
  const chain = base64(leaf.certPem)
  const pem = `-----BEGIN PRIVATE KEY-----\n${base64(canary(3))}\n-----END PRIVATE KEY-----\n`
  return [
    secret('s0', `data:\n  tls.crt: ${chain}\n  tls.key: ${base64(leaf.keyPem)}`),
    secret('s1', `data:\n  tls.crt: ${chain}\n  tls.key: ${canary(1)}!!!`),
    secret('s2', `data:\n  tls.crt: ${chain}\n  tls.key: [${canary(2)}]`),
    secret('s3', `data:\n  tls.crt: ${chain}\n  tls.key: ${base64(pem)}`),
    secret('s4', `stringData:\n  tls.key: { a: ${canary(4)} }`),
    secret('s5', `stringData:\n  tls.key: ${canary(5)}\n  tls.key: ${canary(5)}`),
    secret('s6', `data: "${canary(6)}"`),
    secret('s7', `immutable: ${canary(7)}\ntype: { x: ${canary(7)} }`),
    secret('s8', `stringData:\n  tls.key: *${canary(8)}`),
    secret('s9', `stringData:\n  tls.key: !!binary ${canary(9)}`),
  ]
}

const BROKEN: Readonly<Record<string, string>> = {
  'a.yaml': secret('b1', `stringData:\n  tls.key: "${canary(10)}\n  x: [`),
  'b.yaml': secret('b2', `stringData:\n  tls.key: ${canary(11)}: bad: worse\n`),
  'c.yaml': secret('b3', `stringData:\n\ttls.key: ${canary(12)}\n`),
  'd.json': `{"apiVersion":"v1","kind":"Secret","metadata":{"namespace":"prod","name":"b4"},"stringData":{"tls.key":"${canary(13)}",}`,
  'e.yaml': secret('b5', `stringData: { tls.key: %${canary(14)} }`),
}

const REQUESTS = [
  `GET /x?token=${canary(15)} HTTP/1.1\r\nHost: h0.a.test\r\nAuthorization: Bearer ${canary(16)}\r\nCookie: s=${canary(17)}\r\n\r\n`,
  `GET /x?api_key=${canary(18)} HTTP/1.1\r\nHost: a b\r\nAuthorization: ${canary(19)}\r\n\r\n`,
  `GET http://joe:${canary(20)}@h0.a.test/ HTTP/1.1\r\nHost: h0.a.test\r\n\r\n`,
  `CONNECT joe:${canary(21)}@h0.a.test:443 HTTP/1.1\r\nHost: h0.a.test\r\n\r\n`,
]

it('are nowhere', { timeout: 60_000 }, async () => {
  const folder = await mkdtemp(join(tmpdir(), 'atrium-canaries-'))
  await trial.keep({ close: () => rm(folder, { recursive: true }) })
  const leaf = await makeLeaf(await makeCa(), { names: ['*.a.test'] })
  const secrets = secretsOf(leaf)
  const routes = secrets.map((_, index) =>
    route(`r${index}`, [`h${index}.a.test`], [to('web')], {
      tls: { certificateRefs: [{ name: `s${index}` }], plainHTTP: 'Serve' },
    }),
  )
  await writeFile(join(folder, 'world.yaml'), world(tenant(['*.a.test']), service('web', [9]), routes))
  await writeFile(join(folder, 'secrets.yaml'), secrets.join('\n---\n'))
  for (const [name, text] of Object.entries(BROKEN)) await writeFile(join(folder, name), text)

  const state = await mkdtemp(join(tmpdir(), 'atrium-canaries-state-'))
  await trial.keep({ close: () => rm(state, { recursive: true }) })
  const ports = ['--port', '0', '--tls-port', '0', '--admin-port', '0', '--workers', '1', '--drain', '0s']
  const more = ['--config', folder, '--allow-endpoints', '127.0.0.0/8', '--state', state, '-v']
  const atrium = startAtrium(['standalone', ...ports, ...more])
  await trial.keep({
    close: async () => {
      atrium.child.kill('SIGKILL')
      await atrium.finished
    },
  })
  const [, http = '', admin = ''] = /http ([0-9]+) .*admin (http:\/\/\S+)/.exec(await atrium.said('admin http')) ?? []
  const said: string[] = []
  for (const request of REQUESTS) {
    const client = await RawClient.connect(Number(http))
    await trial.keep({ close: () => client.destroy() })
    said.push((await client.request(request)).body.toString())
  }
  for (const page of [
    'status',
    'snapshot',
    'metrics',
    'explain?url=https://h0.a.test/',
    'explain?url=https://h3.a.test/',
  ]) {
    said.push(await (await fetch(`${admin}/${page}`)).text())
  }
  // The certificate is there, so its key would be too.
  expect(said.join()).toContain('BEGIN CERTIFICATE')
  atrium.child.kill('SIGTERM')
  const { out, err } = await atrium.finished
  for (const name of await readdir(state)) said.push(await readFile(join(state, name), 'utf8'))
  for (const format of ['table', 'json', 'yaml']) {
    const compiled = await startAtrium(['compile', '--config', folder, '-o', format]).finished
    said.push(compiled.out, compiled.err)
  }
  const everything = [...said, out, err].join('\n')
  // What was planted was read: the log has the requests, the report has the Secrets.
  expect(everything).toContain('"url.path":"/x"')
  expect(everything).toContain('prod/s1')
  expect(everything.match(/CANARY[0-9]+SECRET/g) ?? []).toEqual([])
  for (let number = 1; number <= 21; number += 1) expect(everything).not.toContain(base64(canary(number)))
  const [, line = 'no key'] = leaf.keyPem.split('\n')
  for (const form of [line, base64(leaf.keyPem).slice(0, 60)]) expect(everything).not.toContain(form)
})

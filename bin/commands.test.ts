// The verbs that need no gateway, as real commands: what they print where, and their exit codes.
import { execFileSync } from 'node:child_process'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { atrium, folderOf } from '../test/support/command.ts'
import { textWidth } from './output/width.ts'

const WORLD = `apiVersion: atrium.dev/v1alpha1
kind: Tenant
metadata: { name: acme }
spec:
  namespaces: [acme]
  hostnames: [acme.test, "*.acme.test"]
  limits: { requests: { rate: 10/s, burst: 10 } }
---
apiVersion: v1
kind: Service
metadata: { namespace: acme, name: api }
spec: { ports: [{ port: 80 }] }
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { namespace: acme, name: api-1, labels: { kubernetes.io/service-name: api } }
addressType: IPv4
ports: [{ port: 8080 }]
endpoints: [{ addresses: [10.1.2.3] }]
---
apiVersion: atrium.dev/v1alpha1
kind: Policy
metadata: { namespace: acme, name: edge }
spec:
  access: { ip: { deny: [203.0.113.0/24] } }
---
apiVersion: atrium.dev/v1alpha1
kind: Tenant
metadata: { name: globex }
spec: { namespaces: [globex], hostnames: [globex.test] }
`
const ROUTE = `apiVersion: atrium.dev/v1alpha1
kind: Route
metadata: { namespace: acme, name: shop }
spec:
  hostnames: [shop.acme.test]
  rules:
    - name: v1
      matches: [{ path: { value: /v1 } }]
      backendRefs: [{ name: api, port: 80 }]
    - name: v2
      matches: [{ path: { value: /v2 } }]
      backendRefs: [{ name: api, port: 80 }]
`
const STOLEN = `apiVersion: atrium.dev/v1alpha1
kind: Route
metadata: { namespace: acme, name: thief }
spec:
  hostnames:
    - login.globex.test
  rules:
    - backendRefs: [{ name: api, port: 80 }]
`
const CASES = `- request: GET http://shop.acme.test/v1/x
  expect: { decision: Proxied, route: acme/shop, rule: v1, backend: api }
- request: GET http://shop.acme.test/v3
  expect: { status: 404, error: NoRoute }
`

const folders: { path: string; remove(): Promise<void> }[] = []
let good = ''
let bad = ''
let changed = ''
let cases = ''

beforeAll(async () => {
  folders.push(
    await folderOf({ 'world.yaml': WORLD, 'shop.yaml': ROUTE }),
    await folderOf({ 'world.yaml': WORLD, 'shop.yaml': ROUTE, 'thief.yaml': STOLEN, 'broken.yaml': 'a: [1\n' }),
    await folderOf({
      'world.yaml': WORLD.replace(
        '  access: { ip: { deny: [203.0.113.0/24] } }',
        '  access: { ip: { deny: [203.0.113.0/25] } }',
      ),
      'shop.yaml': ROUTE.replace('- name: v1', '- name: v9')
        .replace('value: /v1', 'value: /v9')
        .replace('shop.acme.test', 'new.acme.test, shop.acme.test'),
    }),
    await folderOf({
      'cases.yaml': CASES,
      'wrong.yaml': CASES.replace('rule: v1', 'rule: v2'),
      'odd.yaml': CASES.replace('rule:', 'ruel:'),
    }),
  )
  const paths = folders.map(({ path }) => path)
  good = paths[0] ?? ''
  bad = paths[1] ?? ''
  changed = paths[2] ?? ''
  cases = paths[3] ?? ''
})

afterAll(async () => {
  for (const folder of folders) await folder.remove()
})

describe('atrium compile', () => {
  it('says nothing on stdout and 0 where all is well', async () => {
    const { code, out, err } = await atrium(['compile', '--config', good])
    expect({ code, out }).toEqual({ code: 0, out: '' })
    expect(err).toContain('compiled 2 tenants, 1 route, 1 policy in')
  })

  it('names file, line, column, object, reason and page, in 80 columns, and exits 1', async () => {
    const { code, out } = await atrium(['compile', '--config', bad])
    expect(code).toBe(1)
    expect(out).toMatch(/thief\.yaml:6:7 {2}Route acme\/thief {2}rejected {2}HostNotOwned/)
    expect(out).toContain('atrium help HostNotOwned')
    expect(out).toMatch(/broken\.yaml:\d+:\d+ {2}rejected/)
    for (const line of out.split('\n').filter((each) => each.startsWith(' ')))
      expect(textWidth(line)).toBeLessThanOrEqual(80)
  })

  it('prints data only on stdout with -o json, and hides nothing it says elsewhere', async () => {
    const { code, out } = await atrium(['compile', '--config', bad, '-o', 'json'])
    const answer = JSON.parse(out)
    expect(code).toBe(1)
    expect(answer).toMatchObject({ apiVersion: 'cli.atrium.dev/v1', kind: 'CompileReport', warnings: [] })
    expect(answer.items).toContainEqual(expect.objectContaining({ reason: 'HostNotOwned', severity: 'rejects' }))
  })

  it('pins hashes: the shard of a neighbour does not move when somebody makes a mistake', async () => {
    const hashes = async (folder: string) =>
      (await atrium(['compile', '--config', folder, '--hashes', '--no-headers'])).out
    expect(await hashes(good)).toBe(await hashes(bad))
    expect(await hashes(good)).toMatch(/^acme {4}[0-9a-f]{64}\nglobex {2}[0-9a-f]{64}\n$/)
  })

  it('prints the snapshot with -o yaml, of one tenant with -t, and refuses one that is not there', async () => {
    const { out } = await atrium(['compile', '--config', good, '-o', 'yaml', '-t', 'globex'])
    expect(out).toContain('tenant: globex')
    expect(out).not.toContain('tenant: acme')
    const { code, err } = await atrium(['compile', '--config', good, '-t', 'nobody'])
    expect(code).toBe(2)
    expect(err).toContain('There is no tenant nobody; there are acme, globex.')
  })

  it('has colours only where they are asked for', async () => {
    const color = async (args: string[], env: NodeJS.ProcessEnv) =>
      (await atrium(['compile', '--config', bad, ...args], env)).out.includes('\u001b[')
    expect(await color([], {})).toBe(false)
    expect(await color(['--color', 'always'], {})).toBe(true)
    expect(await color([], { FORCE_COLOR: '1', NO_COLOR: '1' })).toBe(false)
  })
})

describe('atrium explain', () => {
  it('says where a request goes', async () => {
    const { code, out } = await atrium(['explain', '--config', good, '--url', 'http://shop.acme.test/v1/a'])
    expect(code).toBe(0)
    expect(out).toContain('acme/shop, rule v1')
    expect(out).toContain('10.1.2.3:8080')
    expect(out).toContain('Result   proxied to Service api')
  })

  it('holds expectations, and exits 1 with what it is instead', async () => {
    const ask = (...expectations: string[]) =>
      atrium([
        'explain',
        '--config',
        good,
        '--url',
        'http://shop.acme.test/v1/a',
        ...expectations.flatMap((each) => ['--expect', each]),
      ])
    expect((await ask('route=shop/v1', 'backend=api', 'tenant=acme')).code).toBe(0)
    const { code, err } = await ask('status=403')
    expect(code).toBe(1)
    expect(err).toContain('expected status=403, got none')
    expect((await ask('colour=red')).code).toBe(2)
  })

  it('runs a file of requests', async () => {
    const run = (file: string) => atrium(['explain', '--config', good, '-f', `${cases}/${file}`])
    expect(await run('cases.yaml')).toMatchObject({ code: 0 })
    const { code, out, err } = await run('wrong.yaml')
    expect(code).toBe(1)
    expect(out).toContain('wrong.yaml:1: expected rule=v2, got v1')
    expect(err).toContain('1 of 2 requests')
    expect(await run('odd.yaml')).toMatchObject({ code: 2, err: expect.stringContaining('expect.ruel') })
  })

  it('gives JSON of one shape', async () => {
    const { out } = await atrium(['explain', '--config', good, '--url', 'http://nobody.test/', '-o', 'json'])
    expect(JSON.parse(out).items[0]).toMatchObject({ decision: 'Refused', status: 404, error: 'NoHost' })
  })

  it('exits 3 where no server answers', async () => {
    const { code, err } = await atrium(['explain', '--server', 'http://127.0.0.1:1', '--url', 'http://a.test/'])
    expect(code).toBe(3)
    expect(err).toContain('127.0.0.1:1')
  })
})

describe('atrium diff', () => {
  it('finds nothing between equals', async () => {
    const { code, out } = await atrium([
      'diff',
      '--config',
      good,
      '--to',
      good,
      '--fail-on',
      'changed,breaks,loosened,hosts',
    ])
    expect(code).toBe(0)
    expect(out).toContain('2 tenants unchanged, hashes equal')
  })

  it('says what changes, what breaks, what is looser, and leaves the neighbour out', async () => {
    const { code, out } = await atrium(['diff', '--config', good, '--to', changed])
    expect(code).toBe(0)
    expect(out).toMatch(/^acme {2}BREAKS/)
    expect(out).toContain('shop.acme.test/v1/* answers 404')
    expect(out).toContain('+ acme/shop rule v9')
    expect(out).toContain('1 tenant unchanged')
    expect(out).toContain('Policy acme/edge: access.ip')
    expect(out).toContain('Hosts: +1 -0.')
  })

  it.each(['changed', 'breaks', 'loosened', 'hosts'])('exits by --fail-on %s', async (what) => {
    expect((await atrium(['diff', '--config', good, '--to', changed, '--fail-on', what, '-o', 'name'])).code).toBe(1)
  })

  it('gives Markdown for a pull request', async () => {
    const { out } = await atrium(['diff', '--config', good, '--to', changed, '-o', 'markdown'])
    expect(out).toContain('| acme | BREAKS |')
    expect(out).toContain('<details><summary>acme</summary>')
  })
})

describe('wrong usage', () => {
  it.each([
    [['complie'], 'Did you mean compile?'],
    [['compile', '--cofnig', 'x'], 'Did you mean --config?'],
    [['compile'], 'Say which folder: --config DIR'],
    [['compile', '--config', '/no/such/folder'], 'There is no folder /no/such/folder.'],
    [['standalone', '--config', '/tmp', '--port', '70000'], 'A port is a number from 0 to 65535.'],
    [['standalone', '--config', '/tmp', '--allow-endpoints', '10.0.0.1/8'], 'bits set after its prefix'],
    [['demo', '--noisy'], '--noisy needs --for'],
  ])('%j exits 2 and says what is wrong', async (args, text) => {
    const { code, out, err } = await atrium(args)
    expect({ code, out }).toEqual({ code: 2, out: '' })
    expect(err).toContain(text)
  })
})

describe('help and the rest', () => {
  it('prints the page of a reason and of an answer, whatever its case', async () => {
    expect((await atrium(['help', 'hostnotowned'])).out).toContain('HostNotOwned   reason of the condition Accepted')
    expect((await atrium(['help', 'NoRoute'])).out).toContain('answer 404')
    expect((await atrium(['help', 'exit-codes'])).out).toContain(' 143  terminated (SIGTERM)')
    expect(await atrium(['help', 'nonsense'])).toMatchObject({ code: 2, out: '' })
  })

  it('tells each setting and its source', async () => {
    const { out } = await atrium(['standalone', '--show-config', '--port', '1'], {
      ATRIUM_WORKERS: '3',
      ATRIUM_CONFIG: '/tmp',
    })
    expect(out).toMatch(/--port +1 +flag/)
    expect(out).toMatch(/--workers +3 +environment ATRIUM_WORKERS/)
    expect(out).toMatch(/--config +\["\/tmp"\] +environment/)
    expect(out).toMatch(/--drain +30000 +default/)
  })

  it('makes completion scripts that the shells accept', async () => {
    const { out } = await atrium(['completion', 'bash'])
    expect(out).toContain('--allow-endpoints')
    expect(out).toContain('HostNotOwned')
    execFileSync('bash', ['-n'], { input: out })
    const words = `${out}\nCOMP_WORDS=(atrium comp); COMP_CWORD=1; _atrium; echo "\${COMPREPLY[@]}"`
    expect(execFileSync('bash', ['-c', words], { encoding: 'utf8' })).toBe('compile completion\n')
    expect((await atrium(['completion', 'zsh'])).out).toContain('#compdef atrium')
    expect((await atrium(['completion', 'fish'])).out).toContain('complete -c atrium')
  })

  it('completes names of tenants and hosts from the folders', async () => {
    expect((await atrium(['complete', 'tenants', bad])).out).toBe('acme\nglobex\n')
    expect((await atrium(['complete', 'urls', good])).out).toBe('http://shop.acme.test/\n')
  })
})

// The controller as standalone composes it: a real folder, the real compile, a dataplane that only remembers.
import { createHash } from 'node:crypto'
import { mkdtemp, rm, unlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { POLICIES } from '../policies/index.ts'
import type { Snapshot } from '../model/snapshot.ts'
import { startController, type Controller, type ControllerOptions } from './main.ts'
import { createInProcessPublisher } from './publish/in-process.ts'
import { createFileSource } from './sources/file/file-source.ts'

const tenant = (name: string, ...hosts: string[]) =>
  `apiVersion: atrium.dev/v1alpha1\nkind: Tenant\nmetadata: { name: ${name} }\nspec:\n  namespaces: [${name}]\n  hostnames: [${hosts.map((host) => `"${host}"`).join(', ')}]\n`
const route = (namespace: string, name: string, host: string) =>
  `apiVersion: atrium.dev/v1alpha1\nkind: Route\nmetadata: { namespace: ${namespace}, name: ${name} }\nspec:\n  hostnames: [${host}]\n  rules:\n    - backendRefs: [{ name: web, port: 80 }]\n`
const backend = (namespace: string) =>
  `apiVersion: v1\nkind: Service\nmetadata: { namespace: ${namespace}, name: web }\nspec: { ports: [{ port: 80 }] }\n---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: { namespace: ${namespace}, name: web-1, labels: { kubernetes.io/service-name: web } }\naddressType: IPv4\nports: [{ port: 8080 }]\nendpoints: [{ addresses: [10.0.0.1] }]\n`

describe('the controller', () => {
  let folder: string
  let controller: Controller | undefined
  let lines: string[]
  let warnings: string[]
  let active: Snapshot | undefined
  let sequences: number[]
  const put = (name: string, ...documents: string[]) => writeFile(join(folder, name), documents.join('---\n'))

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'atrium-controller-'))
    lines = []
    warnings = []
    sequences = []
    active = undefined
    await put(
      'acme.yaml',
      tenant('acme', 'acme.test', '*.acme.test'),
      route('acme', 'shop', 'acme.test'),
      backend('acme'),
    )
    await put('globex.yaml', tenant('globex', 'globex.test'), route('globex', 'api', 'globex.test'), backend('globex'))
  })
  afterEach(async () => {
    await controller?.stop()
    controller = undefined
    await rm(folder, { recursive: true, force: true })
  })
  const start = async (more: Partial<ControllerOptions> = {}) => {
    controller = await startController({
      source: createFileSource({ folders: [folder] }),
      publisher: createInProcessPublisher((snapshot, sequence) => {
        active = snapshot
        sequences.push(sequence)
        return Promise.resolve({
          pod: 'local',
          sequence,
          version: snapshot.version,
          endpointsRevision: snapshot.endpointsRevision,
          refused: [],
        })
      }),
      settings: {
        digest: (text) => createHash('sha256').update(text).digest('hex'),
        policies: POLICIES,
        allowEndpoints: [],
        ownAddresses: [],
      },
      console: { write: (line) => lines.push(line), format: 'text' },
      warn: (message, error) => warnings.push(`${message} ${String(error ?? '')}`),
      ...more,
    })
    return controller
  }
  const hosts = (name: string) => active?.shards.get(name)?.hosts.map((plan) => plan.host)
  const ready = (name: string) => {
    const status = controller?.statuses().find((each) => each.object.name === name)
    return status === undefined ? undefined : `${status.ready.status} ${status.ready.reason}`
  }

  test('from a folder to a snapshot, all ready, nothing to say', async () => {
    await start()
    expect(hosts('acme')).toEqual(['acme.test'])
    expect(hosts('globex')).toEqual(['globex.test'])
    expect([ready('acme'), ready('shop'), ready('api')]).toEqual(['True Serving', 'True Serving', 'True Serving'])
    expect(lines).toEqual([])
    expect(warnings).toEqual([])
  })

  test('an edit of one tenant becomes active and leaves the other shard as it was', async () => {
    await start()
    const before = active
    await put(
      'acme.yaml',
      tenant('acme', 'acme.test', '*.acme.test'),
      route('acme', 'shop', 'new.acme.test'),
      backend('acme'),
    )
    await vi.waitFor(() => expect(hosts('acme')).toEqual(['new.acme.test']))
    expect(active?.shards.get('globex')).toBe(before?.shards.get('globex'))
    expect(sequences).toEqual([1, 2])
  })

  test('a foreign host is refused at its place, while everything goes on', async () => {
    await start()
    const before = active
    await put('globex.yaml', tenant('globex', 'globex.test'), route('globex', 'api', 'acme.test'), backend('globex'))
    await vi.waitFor(() => expect(lines[0]).toContain('Route globex/api  rejected  HostNotOwned'))
    expect(lines[0]).toContain(`${join(folder, 'globex.yaml')}:12:15`)
    expect(ready('api')).toBe('False HostNotOwned')
    expect(active?.shards.get('acme')?.hash).toBe(before?.shards.get('acme')?.hash)
    expect(hosts('globex')).toEqual(['globex.test'])
    await put('globex.yaml', tenant('globex', 'globex.test'), route('globex', 'api', 'globex.test'), backend('globex'))
    await vi.waitFor(() => expect(lines.at(-1)).toContain('Route globex/api  serving'))
  })

  test('a file that does not parse is told and changes nothing', async () => {
    await start()
    await put('acme.yaml', tenant('acme', 'acme.test'), route('acme', 'shop', 'acme.test'), 'kind: [')
    await vi.waitFor(() => expect(lines.join('\n')).toMatch(/acme\.yaml:\d+:\d+ {2}unreadable/))
    expect(hosts('acme')).toEqual(['acme.test'])
  })

  test('a host goes from a tenant that is removed to another, at once', async () => {
    await put(
      'globex.yaml',
      tenant('globex', 'globex.test', 'acme.test'),
      route('globex', 'api', 'acme.test'),
      backend('globex'),
    )
    await start()
    // Nobody holds it and both ask: neither gets it, both are told.
    expect(hosts('acme')).not.toContain('acme.test')
    expect(hosts('globex')).not.toContain('acme.test')
    expect(ready('api')).not.toBe('True Serving')
    await unlink(join(folder, 'acme.yaml'))
    await vi.waitFor(() => expect(hosts('globex')).toContain('acme.test'))
    expect(ready('api')).toBe('True Serving')
    await put(
      'acme.yaml',
      tenant('acme', 'acme.test', '*.acme.test'),
      route('acme', 'shop', 'acme.test'),
      backend('acme'),
    )
    await vi.waitFor(() => expect(ready('shop')).toBe('False HostInUse'))
    expect(hosts('globex')).toContain('acme.test')
    expect(
      lines
        .join('\n')
        .split('\n')
        .filter((line) => line.includes('acme/shop') || line.includes('Tenant acme'))
        .join(),
    ).not.toContain('globex')
  })

  test('after a restart with a state folder, claims and last good forms hold', async () => {
    const stateFolder = join(folder, '.state')
    await start({ stateFolder })
    const good = active?.shards.get('globex')?.hash
    await put('globex.yaml', tenant('globex', 'globex.test'), route('globex', 'api', 'NOT A HOST'), backend('globex'))
    await vi.waitFor(() => expect(ready('api')).toBe('False Invalid'))
    expect(active?.shards.get('globex')?.hash).toBe(good)
    await controller?.stop()
    await put('another.yaml', tenant('aaa', 'acme.test'))
    await start({ stateFolder })
    expect(active?.shards.get('globex')?.hash).toBe(good)
    expect(hosts('acme')).toEqual(['acme.test'])
    expect(ready('aaa')).toBe('False HostInUse')
    expect(warnings).toEqual([])
  })

  test('a folder that does not exist is told by a rejection', async () => {
    await expect(start({ source: createFileSource({ folders: [join(folder, 'absent')] }) })).rejects.toThrow(
      'no such folder',
    )
  })
})

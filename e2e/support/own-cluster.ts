// A cluster of e2e/cluster, whose parts a test may break: its API server ends and starts, packets to it are dropped. Every
// cut is made in the nodes' network namespaces for what they forward, so only pods are cut off: kubelet, kube-proxy and this
// machine go on. Used by the tests on a cluster.
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

const SCRIPTS = join(import.meta.dirname, '..', 'cluster')
/** The table of packet rules that tests own; healing is to delete it. */
const TABLE = 'ip atrium_e2e'
/** A packet of TCP that carries data is longer: headers, timestamps, three blocks of SACK, in bytes. */
const BARE_PACKET = 80

/** What a rule drops: nftables expressions, one for each rule. */
export type Drops = readonly string[]

/** The cluster of KUBECONFIG where it is one of e2e/cluster with nodes, else undefined. */
export function findOwnCluster(): OwnCluster | undefined {
  const state = dirname(process.env['KUBECONFIG'] ?? '')
  const index = join(state, 'index')
  if (!existsSync(index) || !existsSync(join(state, 'commands', 'kube-apiserver'))) return undefined
  return new OwnCluster(state, Number(readFileSync(index, 'utf8')))
}

/** See the head of this file. */
export class OwnCluster {
  readonly state: string
  readonly #index: number

  constructor(state: string, index: number) {
    this.state = state
    this.#index = index
  }

  /** Address and port of the API server itself. */
  get apiServer(): { readonly host: string; readonly port: number } {
    const [, host = '', port = ''] = /server: "https:\/\/([^:]+):(\d+)"/.exec(this.#file('admin.kubeconfig')) ?? []
    return { host, port: Number(port) }
  }

  /** `http://…` where etcd answers clients. */
  get etcd(): string {
    return /--listen-client-urls (http:\S+)/.exec(this.#file('commands/etcd'))?.[1] ?? ''
  }

  /** Runs e2e/cluster/api. Returns when what starts is ready. */
  api(act: 'stop' | 'start' | 'restart', ...more: readonly '--etcd'[]): void {
    must(join(SCRIPTS, 'api'), [act, ...more, '--state', this.state])
  }

  /** Packets between all pods and the API server are dropped: nobody is told, connections stay half open. */
  cutPods(): void {
    const { host, port } = this.apiServer
    this.drop([`ip daddr ${host} tcp dport ${port}`, `ip saddr ${host} tcp sport ${port}`])
  }

  /**
   * The connections that these pods have to the API server now are dead; others can be made.
   * `data`: only what carries data is dropped, so that the other end's kernel seems alive.
   */
  freeze(addresses: readonly string[], what: 'everything' | 'data'): number {
    const { host, port } = this.apiServer
    const { stdout } = must('ss', ['-Htn', 'state', 'established', `( sport = :${port} )`])
    const only = what === 'data' ? ` meta length > ${BARE_PACKET}` : ''
    const rules = stdout.split('\n').flatMap((line) => {
      const [, address = '', own = ''] = /(\d+\.\d+\.\d+\.\d+):(\d+)\s*$/.exec(line) ?? []
      if (!addresses.includes(address)) return []
      return [
        `ip daddr ${address} tcp dport ${own} ip saddr ${host}${only}`,
        `ip saddr ${address} tcp sport ${own} ip daddr ${host}${only}`,
      ]
    })
    this.drop(rules)
    return rules.length / 2
  }

  /** Drops what the nodes forward and what matches. Adds to what is dropped already. */
  drop(rules: Drops): void {
    const text = [
      `add table ${TABLE}`,
      `add chain ${TABLE} cut { type filter hook forward priority -10 ; }`,
      ...rules.map((rule) => `add rule ${TABLE} cut ${rule} drop`),
    ]
    for (const space of this.#spaces()) must('ip', ['netns', 'exec', space, 'nft', '-f', '-'], `${text.join('\n')}\n`)
  }

  /** All packets pass again. */
  heal(): void {
    for (const space of this.#spaces()) {
      must('ip', ['netns', 'exec', space, 'nft', '-f', '-'], `add table ${TABLE}\ndelete table ${TABLE}\n`)
    }
  }

  /** The body at an address of a pod, asked from its node, which no policy keeps out. Throws where nothing comes. */
  fetch(url: string): string {
    const script = `fetch(${JSON.stringify(url)}, { signal: AbortSignal.timeout(5000) }).then((answer) => answer.text()).then(console.log)`
    let trouble: unknown
    for (const space of this.#spaces()) {
      try {
        return must('ip', ['netns', 'exec', space, process.execPath, '-e', script]).stdout
      } catch (error) {
        trouble = error
      }
    }
    throw new Error(`${url} does not answer`, { cause: trouble })
  }

  #spaces(): readonly string[] {
    const prefix = `atr${this.#index}-`
    const { stdout } = must('ip', ['netns', 'list'])
    return stdout.split('\n').flatMap((line) => (line.startsWith(prefix) ? [line.split(' ')[0] ?? ''] : []))
  }

  #file(name: string): string {
    return readFileSync(join(this.state, name), 'utf8')
  }
}

function must(program: string, args: readonly string[], input = '') {
  const path = `${process.env['PATH']}:/usr/sbin:/sbin`
  const { status, stdout, stderr, error } = spawnSync(program, args, {
    encoding: 'utf8',
    input,
    env: { ...process.env, PATH: path },
  })
  if (error !== undefined) throw error
  if (status !== 0) throw new Error(`${program} ${args.join(' ')} ended with ${status}: ${stderr.trim()}`)
  return { stdout }
}

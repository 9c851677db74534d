// The demo's own folder, read beside examples/demo and just as live: the EndpointSlices of the backends it started, and
// the bad Route that `x` writes. A temporary folder, so that the person's files are never touched.
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { RunningBackend } from './backends.ts'

/** The Route that takes another tenant's host: initech wants acme's shop. */
const BAD_ROUTE = `# Written by the demo (key x): initech claims a host that belongs to acme.
apiVersion: atrium.dev/v1alpha1
kind: Route
metadata: { namespace: initech, name: login }
spec:
  hostnames:
    - shop.acme.localhost
  rules:
    - backendRefs: [{ name: reports, port: 8080 }]
`

/** Files that the demo writes. */
export class DemoWorld {
  readonly folder: string
  #bad = false

  private constructor(folder: string) {
    this.folder = folder
  }

  /** A new empty folder. */
  static async create(): Promise<DemoWorld> {
    return new DemoWorld(await mkdtemp(join(tmpdir(), 'atrium-demo-')))
  }

  /** The bad Route is there. */
  get bad(): boolean {
    return this.#bad
  }

  /** Says where the backends listen, as Kubernetes would. */
  async writeEndpoints(backends: readonly RunningBackend[]): Promise<void> {
    const services = Map.groupBy(backends, ({ plan }) => `${plan.namespace}/${plan.service}`)
    await this.#write('endpoints.yaml', [...services.values()].flatMap((group) => group.map(slice)).join('---\n'))
  }

  async writeBadRoute(): Promise<void> {
    this.#bad = true
    await this.#write('bad-route.yaml', BAD_ROUTE)
  }

  async removeBadRoute(): Promise<void> {
    this.#bad = false
    await rm(join(this.folder, 'bad-route.yaml'), { force: true })
  }

  async remove(): Promise<void> {
    await rm(this.folder, { recursive: true, force: true })
  }

  /** Writes beside and renames, so that nobody reads half a file. */
  async #write(name: string, text: string): Promise<void> {
    const beside = join(this.folder, `.${name}.new`)
    await writeFile(beside, text)
    await rename(beside, join(this.folder, name))
  }
}

/** One slice per backend, since each has its own port. */
function slice({ plan, port }: RunningBackend): string {
  return `apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  namespace: ${plan.namespace}
  name: ${plan.name}
  labels: { kubernetes.io/service-name: ${plan.service} }
addressType: IPv4
ports: [{ port: ${port} }]
endpoints: [{ addresses: [127.0.0.1], conditions: { ready: true } }]
`
}

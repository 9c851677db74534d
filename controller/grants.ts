// The controller's own rights in namespaces of tenants, and the label that says whose a namespace is. Secrets and
// ConfigMaps are readable only where a RoleBinding to one fixed ClusterRole stands, which the leader makes where something
// is referenced and takes away where nothing is; an admission policy of the chart holds it to namespaces with the label.
// controller/cluster.ts joins it with the source, which asks for a grant before it reads.
import { type ApiCall, type ApiCalls, FIELD_MANAGER, PATCH_TYPES } from './api-calls.ts'
import { Turns } from './sources/kubernetes/turns.ts'
import { type WriteLimits, WriteQueue } from './write-queue.ts'

export interface GrantsOptions {
  readonly api: ApiCalls
  /** Namespace and ServiceAccount of the controller, to which rights are given. */
  readonly namespace: string
  readonly serviceAccount: string
  /** On every object that is made. */
  readonly labels: Readonly<Record<string, string>>
  /** The fence while this process leads. Asked before every write. */
  readonly fence: () => number | undefined
  /** One sentence, once for each new kind of trouble. */
  readonly warn: (message: string, error?: unknown) => void
  readonly limits?: WriteLimits
  /** Milliseconds after which rights are looked at again, because somebody may have taken them away. */
  readonly againMs?: number
}

/** What is known of one namespace. */
export interface TenantNamespace {
  /** The tenant that holds it; undefined for none. */
  readonly tenant: string | undefined
  /** Value of the label as it stands; undefined where it is not there. */
  readonly label: string | undefined
}

export interface Grants {
  /** The namespaces that are there. Those without a tenant and without the label may be left out. */
  update(namespaces: ReadonlyMap<string, TenantNamespace>): void
  /**
   * Resolves once Secrets and ConfigMaps of a namespace may be read. The leader sees to it; on others it rejects where
   * the leader has not yet.
   */
  grant(namespace: string): Promise<void>
  /** Nothing of the namespace is referenced any more. */
  revoke(namespace: string): void
  /** This process began or ceased to lead. */
  lead(leads: boolean): void
  stop(): void
}

/** The label on namespaces of tenants. */
export const TENANT_LABEL = 'atrium.dev/tenant'
/** The ClusterRole and every RoleBinding to it. The chart has the one and an admission policy that knows the pair. */
export const READS_SECRETS = 'atrium-reads-secrets'

const LIMITS: WriteLimits = { perSecond: 50, burst: 50, objectMs: 0, backoffMs: 100, backoffMostMs: 30_000 }
const AGAIN_MS = 300_000
const AT_ONCE = 8
/** What the admission policy answers where the namespace has no label. */
const INVALID = 422
const LABEL_SEEN_MS = 50
const LABEL_TRIES = 4
const TIMEOUT_MS = 10_000
const MAX_LABEL = 63

/** Makes the keeper of rights. Nothing is written before it leads. */
export function createGrants(options: GrantsOptions): Grants {
  return new NamespaceGrants(options)
}

interface Waiter {
  readonly resolve: () => void
  readonly reject: (error: Error) => void
}

class NamespaceGrants implements Grants {
  readonly #options: GrantsOptions
  /** undefined until the first complete state: what is not known yet must not be taken away. */
  #namespaces: ReadonlyMap<string, TenantNamespace> | undefined
  readonly #referenced = new Set<string>()
  readonly #waiters = new Map<string, Waiter[]>()
  /** Whether the RoleBinding stands, as far as is known. */
  readonly #bound = new Map<string, boolean>()
  /** Those who do not lead only look. */
  readonly #looks = new Turns(() => ({ everyMs: 0, burst: 1, perKey: AT_ONCE, overall: AT_ONCE, heaviest: 1 }))
  #queue: WriteQueue
  #leads = false
  #busy = 0
  #timer: NodeJS.Timeout | undefined
  #again: NodeJS.Timeout | undefined
  readonly #troubles = new Set<string>()

  constructor(options: GrantsOptions) {
    this.#options = options
    this.#queue = new WriteQueue(options.limits ?? LIMITS)
  }

  update(namespaces: ReadonlyMap<string, TenantNamespace>): void {
    const before = this.#namespaces
    this.#namespaces = namespaces
    if (!this.#leads) return
    if (before === undefined) {
      this.#lookAgain()
      return
    }
    for (const [name, { tenant, label }] of namespaces) {
      const known = before.get(name)
      if (known?.tenant !== tenant || known?.label !== label) this.#queue.add(name, 1)
    }
    for (const name of before.keys()) if (!namespaces.has(name)) this.#forget(name)
    this.#pump()
  }

  async grant(namespace: string): Promise<void> {
    this.#referenced.add(namespace)
    if (!this.#leads) {
      const status = await this.#look(namespace)
      if (status !== 200) throw new Error(`no rights in ${namespace} yet`)
      return
    }
    await new Promise<void>((resolve, reject) => {
      const list = this.#waiters.get(namespace) ?? []
      this.#waiters.set(namespace, [...list, { resolve, reject }])
      this.#queue.add(namespace, 0)
      this.#pump()
    })
  }

  async #look(namespace: string): Promise<number> {
    const done = await this.#looks.take('')
    try {
      return (await this.#call({ path: bindingPath(namespace) })).status
    } finally {
      done()
    }
  }

  revoke(namespace: string): void {
    this.#referenced.delete(namespace)
    this.#release(namespace, new Error(`nothing of ${namespace} is referenced any more`))
    if (!this.#leads) return
    this.#queue.add(namespace, 2)
    this.#pump()
  }

  lead(leads: boolean): void {
    if (this.#leads === leads) return
    this.#leads = leads
    clearTimeout(this.#timer)
    clearInterval(this.#again)
    for (const name of [...this.#waiters.keys()]) this.#release(name, new Error('another replica leads'))
    if (!leads) return
    this.#lookAgain()
    this.#again = setInterval(() => this.#lookAgain(), this.#options.againMs ?? AGAIN_MS)
    this.#again.unref()
  }

  stop(): void {
    this.lead(false)
  }

  #lookAgain(): void {
    this.#queue = new WriteQueue(this.#options.limits ?? LIMITS)
    this.#bound.clear()
    for (const name of this.#waiters.keys()) this.#queue.add(name, 0)
    for (const name of this.#namespaces?.keys() ?? []) this.#queue.add(name, this.#referenced.has(name) ? 1 : 2)
    this.#pump()
  }

  #forget(name: string): void {
    this.#queue.delete(name)
    this.#bound.delete(name)
  }

  #release(namespace: string, error: Error | undefined): void {
    const waiters = this.#waiters.get(namespace) ?? []
    this.#waiters.delete(namespace)
    for (const { resolve, reject } of waiters) {
      if (error === undefined) resolve()
      else reject(error)
    }
  }

  #pump(): void {
    clearTimeout(this.#timer)
    while (this.#leads && this.#namespaces !== undefined && this.#busy < AT_ONCE) {
      const next = this.#queue.take(performance.now())
      if (next === undefined) return
      if ('waitMs' in next) {
        this.#timer = setTimeout(() => this.#pump(), next.waitMs)
        this.#timer.unref()
        return
      }
      this.#busy++
      void this.#settle(next.key, this.#queue).finally(() => {
        this.#busy--
        this.#pump()
      })
    }
  }

  async #settle(namespace: string, queue: WriteQueue): Promise<void> {
    if (this.#options.fence() === undefined) {
      queue.skipped(namespace)
      return
    }
    try {
      await this.#reconcile(namespace)
      queue.done(namespace, performance.now())
    } catch (error) {
      queue.failed(namespace, performance.now(), Math.random())
      const message = error instanceof Error ? error.message : String(error)
      if (this.#troubles.has(message)) return
      if (this.#troubles.size > 100) this.#troubles.clear()
      this.#troubles.add(message)
      this.#options.warn(`Rights in a tenant's namespace could not be changed (${message}); trying again.`, error)
    }
  }

  async #reconcile(namespace: string): Promise<void> {
    const { tenant, label } = this.#namespaces?.get(namespace) ?? { tenant: undefined, label: undefined }
    const wanted = tenant !== undefined && this.#referenced.has(namespace)
    if (!wanted && this.#bound.get(namespace) !== false) await this.#unbind(namespace)
    const value = tenant === undefined ? undefined : labelValue(tenant)
    const labelled = this.#namespaces?.has(namespace) === true && label !== value
    if (labelled) await this.#label(namespace, value)
    if (!wanted) return
    if (this.#bound.get(namespace) !== true) await this.#bind(namespace, labelled)
    this.#release(namespace, undefined)
  }

  async #label(namespace: string, value: string | undefined): Promise<void> {
    const path = `/api/v1/namespaces/${encodeURIComponent(namespace)}`
    const body = { metadata: { labels: { [TENANT_LABEL]: value ?? null } } }
    const { status } = await this.#call({ method: 'PATCH', path, contentType: PATCH_TYPES.merge, body })
    if (status !== 200 && status !== 404)
      throw new Error(`the label of ${namespace}: the API server answered ${status}`)
  }

  async #bind(namespace: string, labelled: boolean): Promise<void> {
    const body = this.#binding(namespace)
    const post = () => this.#call({ method: 'POST', path: collectionPath(namespace), body })
    let { status } = await post()
    // Admission reads the label from a cache of its own, which is a little behind.
    for (
      let tries = 0;
      labelled && status === INVALID && tries < LABEL_TRIES && this.#options.fence() !== undefined;
      tries++
    ) {
      await new Promise((resolve) => setTimeout(resolve, LABEL_SEEN_MS))
      status = (await post()).status
    }
    if (status === 409) {
      const there = await this.#call({ path: bindingPath(namespace) })
      if (there.status === 200 && sameBinding(there.body, body)) {
        this.#bound.set(namespace, true)
        return
      }
      // Somebody made another of this name: a roleRef cannot be changed.
      await this.#unbind(namespace)
      throw new Error(`the RoleBinding in ${namespace} was another`)
    }
    if (status !== 201) throw new Error(`the RoleBinding in ${namespace}: the API server answered ${status}`)
    this.#bound.set(namespace, true)
  }

  async #unbind(namespace: string): Promise<void> {
    const there = await this.#call({ path: bindingPath(namespace) })
    if (there.status === 200) {
      const { status } = await this.#call({ method: 'DELETE', path: bindingPath(namespace) })
      if (status !== 200 && status !== 404) {
        throw new Error(`the RoleBinding in ${namespace}: the API server answered ${status}`)
      }
    } else if (there.status !== 404) {
      throw new Error(`the RoleBinding in ${namespace}: the API server answered ${there.status}`)
    }
    this.#bound.set(namespace, false)
  }

  #binding(namespace: string) {
    const { serviceAccount, labels } = this.#options
    const tenant = this.#namespaces?.get(namespace)?.tenant ?? ''
    return {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'RoleBinding',
      metadata: { name: READS_SECRETS, namespace, labels: { ...labels, [TENANT_LABEL]: labelValue(tenant) } },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: READS_SECRETS },
      subjects: [{ kind: 'ServiceAccount', name: serviceAccount, namespace: this.#options.namespace }],
    }
  }

  #call(call: ApiCall) {
    const manager = call.method === undefined || call.method === 'DELETE' ? {} : { fieldManager: FIELD_MANAGER }
    return this.#options.api.request({ timeoutMs: TIMEOUT_MS, ...call, query: { ...call.query, ...manager } })
  }
}

/** A tenant's name as the value of a label, which is shorter than a name may be. */
function labelValue(tenant: string): string {
  return tenant.length <= MAX_LABEL ? tenant : tenant.slice(0, MAX_LABEL).replace(/[^a-z0-9]+$/, '')
}

function collectionPath(namespace: string): string {
  return `/apis/rbac.authorization.k8s.io/v1/namespaces/${encodeURIComponent(namespace)}/rolebindings`
}

function bindingPath(namespace: string): string {
  return `${collectionPath(namespace)}/${READS_SECRETS}`
}

function sameBinding(
  there: unknown,
  wanted: { readonly roleRef: { name: string }; readonly subjects: readonly unknown[] },
) {
  const { roleRef, subjects } = Object(there)
  const list: readonly unknown[] = Array.isArray(subjects) ? subjects : []
  const [subject] = list
  const { kind, name, namespace } = Object(subject)
  return (
    Object(roleRef).kind === 'ClusterRole' &&
    Object(roleRef).name === wanted.roleRef.name &&
    list.length === 1 &&
    JSON.stringify([{ kind, name, namespace }]) === JSON.stringify(wanted.subjects)
  )
}

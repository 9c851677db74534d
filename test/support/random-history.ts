// A random history of edits, compiled as the loop does it: claims stored, last good forms carried on, one edit at a time.
// Each step is checked against every law that compile has; the first that does not hold throws with the seed and the step.
import { createHash } from 'node:crypto'
import { compile } from '../../controller/compile/compile.ts'
import type { CompileResult, CompileSettings, CrossEffect } from '../../controller/compile/compile-types.ts'
import { lastGoodFor } from '../../controller/compile/last-good.ts'
import { canonicalText } from '../../model/canonical.ts'
import { hostCovers } from '../../model/host.ts'
import type { Claim, Kind, Partition, ResourceSet, SourceObject } from '../../model/resources.ts'
import type { Snapshot, TenantShard } from '../../model/snapshot.ts'
import { POLICIES } from '../../policies/index.ts'
import { Choice } from './random.ts'
import { allSlots, drawObject, drawSlot, type Slot } from './random-objects.ts'

/** Settings with an own listener on an address that slices name. */
export const SETTINGS: CompileSettings = {
  digest: (text) => createHash('sha256').update(text).digest('hex'),
  policies: POLICIES,
  allowEndpoints: [],
  ownAddresses: ['10.0.0.3:8080'],
}

/** Hosts that are asked for, whoever may serve them. */
const PROBES = [
  'a.test',
  'x.a.test',
  'q.a.test',
  'y.x.a.test',
  'q.x.a.test',
  'b.test',
  'z.b.test',
  'q.b.test',
  'q.test',
]

/** How far checks go: the costly ones only now and then. */
export interface HistoryOptions {
  readonly seed: number
  readonly edits: number
  /** Every how many edits a fresh compile and a shuffled one are compared. */
  readonly compareEvery: number
}

/** What a history met, so that a test can tell that it met anything. */
export interface HistoryTally {
  edits: number
  shardChanges: number
  crossChanges: number
  issues: Set<string>
  keptForms: number
}

/** Runs a history. Throws an Error that names seed and step where a law does not hold. */
export function runHistory(options: HistoryOptions): HistoryTally {
  return new History(options).run()
}

class History {
  readonly #options: HistoryOptions
  readonly #choice: Choice
  #partitions = new Map<string, Partition>()
  #resources: ResourceSet = { revision: '0', partitions: new Map(), claims: [], lastGood: [] }
  #result: CompileResult | undefined
  #claims: readonly Claim[] = []
  #generation = 0
  #step = 0
  readonly #tally: HistoryTally = { edits: 0, shardChanges: 0, crossChanges: 0, issues: new Set(), keptForms: 0 }

  constructor(options: HistoryOptions) {
    this.#options = options
    this.#choice = new Choice(options.seed)
  }

  run(): HistoryTally {
    for (const slot of allSlots()) if (this.#choice.chance(0.6)) this.#put(slot)
    this.#compileNow()
    for (this.#step = 1; this.#step <= this.#options.edits; this.#step += 1) this.#edit()
    return this.#tally
  }

  #edit(): void {
    const choice = this.#choice
    if (choice.chance(0.08)) {
      this.#settleClaims()
      return
    }
    const slot = drawSlot(choice)
    if (choice.chance(0.2)) this.#remove(slot)
    else this.#put(slot)
    const before = this.#result
    this.#compileNow()
    const after = this.#result
    this.#tally.edits += 1
    // Labels of a Namespace are the platform's to set, whoever gets the namespace.
    if (before !== undefined && after !== undefined && slot.kind !== 'Namespace')
      this.#checkIsolation(slot, before, after)
  }

  #put(slot: Slot): void {
    this.#generation += 1
    this.#replace(slot, drawObject(this.#choice, slot, this.#generation))
  }

  #remove(slot: Slot): void {
    this.#replace(slot, undefined)
  }

  #replace({ kind, namespace, name }: Slot, object: SourceObject | undefined): void {
    const objects = new Map(this.#partitions.get(namespace)?.objects)
    const named = new Map(objects.get(kind))
    if (object === undefined) named.delete(name)
    else named.set(name, object)
    objects.set(kind, named)
    this.#partitions = new Map(this.#partitions)
    this.#partitions.set(namespace, { namespace, objects })
  }

  #compileNow(): void {
    const previous = this.#result === undefined ? undefined : { resources: this.#resources, result: this.#result }
    const resources: ResourceSet = {
      revision: String(this.#generation),
      partitions: this.#partitions,
      claims: this.#claims,
      lastGood: lastGoodFor(this.#partitions, previous, []),
    }
    const result = compile(resources, SETTINGS, this.#result)
    if (this.#step % this.#options.compareEvery === 0) this.#checkSameBytes(resources, result)
    this.#checkHosts(result.snapshot)
    for (const issue of result.issues) this.#tally.issues.add(issue.reason)
    this.#tally.keptForms += result.lastGood.length
    this.#resources = resources
    this.#result = result
  }

  /** Stores what compile wants, as the loop does; what nobody wants is let go, and gone some steps later. */
  #settleClaims(): void {
    const wanted = this.#result?.claims ?? []
    const isWanted = (claim: Claim) =>
      wanted.some((each) => each.what === claim.what && each.name === claim.name && each.tenant === claim.tenant)
    const kept = this.#claims.filter((claim) => isWanted(claim) || this.#choice.chance(0.7))
    const fresh = wanted.filter(
      (each) =>
        !kept.some((claim) => claim.what === each.what && claim.name === each.name && claim.tenant === each.tenant),
    )
    const version = this.#result?.snapshot.version
    const onlyAdded = kept.length === this.#claims.length
    this.#claims = [...kept, ...fresh.map((each) => ({ ...each, since: this.#step }))]
    this.#compileNow()
    if (onlyAdded && this.#result?.snapshot.version !== version) this.#fail('storing the wanted claims changed a shard')
  }

  #checkSameBytes(resources: ResourceSet, result: CompileResult): void {
    const text = resultText(result)
    const fresh = resultText(compile(resources, SETTINGS))
    if (fresh !== text) this.#fail(`without the previous result: ${firstDifference(text, fresh)}`)
    const shuffled = resultText(compile(shuffle(resources, this.#choice), SETTINGS))
    if (shuffled !== text) this.#fail(`in another order: ${firstDifference(text, shuffled)}`)
  }

  #checkIsolation(slot: Slot, before: CompileResult, after: CompileResult): void {
    const owners = new Set(
      slot.kind === 'Tenant' ? [slot.name] : [ownerOf(before, slot.namespace), ownerOf(after, slot.namespace)],
    )
    for (const tenant of new Set([...before.snapshot.shards.keys(), ...after.snapshot.shards.keys()])) {
      const shardChanged = before.snapshot.shards.get(tenant)?.hash !== after.snapshot.shards.get(tenant)?.hash
      if (shardChanged) this.#tally.shardChanges += 1
      if (owners.has(tenant)) continue
      const poolsChanged = poolsText(before.snapshot, tenant) !== poolsText(after.snapshot, tenant)
      if (!shardChanged && !poolsChanged) continue
      this.#tally.crossChanges += 1
      const effects = [...before.crossEffects, ...after.crossEffects].filter((effect) => effect.tenant === tenant)
      if (!effects.some((effect) => explains(effect, slot, owners, shardChanged))) {
        this.#fail(`an edit of ${slot.kind} ${slot.namespace}/${slot.name} changed ${tenant} without a cross effect`)
      }
    }
  }

  /** Nobody serves what is not theirs, and no host stands in two shards. */
  #checkHosts(snapshot: Snapshot): void {
    const hosts = new Map<string, TenantShard>()
    for (const shard of snapshot.shards.values()) {
      for (const { host } of shard.hosts) {
        const other = hosts.get(host)
        if (other !== undefined) this.#fail(`${host} stands in the shards of ${other.tenant} and ${shard.tenant}`)
        hosts.set(host, shard)
      }
    }
    for (const probe of PROBES) {
      const plan = [...hosts.keys()].filter((host) => hostCovers(host, probe)).sort((a, b) => compareHosts(a, b))[0]
      const shard = plan === undefined ? undefined : hosts.get(plan)
      const matches = shard?.hosts.find(({ host }) => host === plan)?.matches ?? []
      if (shard === undefined || matches.length === 0) continue
      const wrong = this.#whyNotOwned(shard.tenant, probe)
      if (wrong !== undefined) this.#fail(`${shard.tenant} serves ${probe} by ${plan}, but ${wrong}`)
    }
  }

  /** Told from claims and Tenants alone, in a few lines that have nothing in common with the pass that decides. */
  #whyNotOwned(tenant: string, host: string): string | undefined {
    const covering = (name: string) => hostCovers(name, host)
    const form = (name: string) => this.#tenantSpec(name)
    const own = form(tenant)
    if (own === undefined) return undefined
    const hostnames = own.hostnames.filter(covering)
    if (hostnames.length === 0) return 'no hostname of the Tenant covers it'
    const isExact = hostnames.includes(host)
    if (!isExact && own.exceptions.includes(host)) return 'the Tenant carved it out'
    const claims = this.#claims.filter((claim) => claim.what === 'host' && claim.expired !== true)
    const exact = claims.filter((claim) => claim.name === host).sort((a, b) => a.since - b.since)[0]
    if (exact !== undefined && exact.tenant !== tenant) return `${exact.tenant} holds it`
    return undefined
  }

  /** A Tenant that was read; one whose newest form is broken is not looked at. */
  #tenantSpec(name: string): { readonly hostnames: string[]; readonly exceptions: string[] } | undefined {
    const result = this.#result?.objects.find(({ object }) => object.kind === 'Tenant' && object.name === name)
    const body = this.#partitions.get('')?.objects.get('Tenant')?.get(name)?.body['spec']
    if (result === undefined || !result.accepted || typeof body !== 'object' || body === null) return undefined
    if (result.generation !== this.#partitions.get('')?.objects.get('Tenant')?.get(name)?.metadata.generation)
      return undefined
    const { hostnames = [], hostnameExceptions = [] } = body as { hostnames?: string[]; hostnameExceptions?: string[] }
    return Array.isArray(hostnames) && Array.isArray(hostnameExceptions)
      ? { hostnames, exceptions: hostnameExceptions }
      : undefined
  }

  #fail(message: string): never {
    throw new Error(`seed ${this.#options.seed}, step ${this.#step}: ${message}`)
  }
}

/** Exact before wildcard, longer wildcard first: how the dataplane finds a host. */
function compareHosts(a: string, b: string): number {
  return Number(a.startsWith('*.')) - Number(b.startsWith('*.')) || b.length - a.length
}

function ownerOf(result: CompileResult, namespace: string): string {
  for (const claim of result.claims) if (claim.what === 'namespace' && claim.name === namespace) return claim.tenant
  return ''
}

function explains(effect: CrossEffect, slot: Slot, owners: ReadonlySet<string>, shardChanged: boolean): boolean {
  const { cause, objects } = effect
  if (cause === 'HostHandedOver' || cause === 'NamespaceHandedOver') {
    return slot.kind === 'Tenant' && objects.some((ref) => ref.name === slot.name)
  }
  if (slot.kind === 'Tenant') return objects.some((ref) => ref.namespace !== '')
  const named = objects.some(
    (ref) => ref.kind === slot.kind && ref.namespace === slot.namespace && ref.name === slot.name,
  )
  if (named) return cause === 'PodAddress' ? !shardChanged : true
  if (cause !== 'GrantedService' || shardChanged) return false
  const behind = slot.kind === 'EndpointSlice' || slot.kind === 'Pod'
  return behind && (owners.size > 0 || objects.some((ref) => ref.namespace === slot.namespace))
}

function poolsText(snapshot: Snapshot, tenant: string): string {
  return canonicalText(
    [...snapshot.pools.values()].filter((pool) => pool.id.tenant === tenant).map((pool) => pool.hash),
  )
}

/** Everything that a result says, in the order in which it says it. */
function resultText(result: CompileResult): string {
  const { snapshot, issues, objects, claims, lastGood, crossEffects } = result
  const shards = [...snapshot.shards.values()].map((shard) => ({
    ...shard,
    certificates: [...shard.certificates.keys()],
    authorities: [...shard.authorities.keys()],
  }))
  return canonicalText([
    snapshot.version,
    snapshot.endpointsRevision,
    shards,
    [...snapshot.pools.keys()],
    [...snapshot.pools.values()],
    issues,
    objects,
    claims,
    lastGood.map(({ object, generation, body }) => ({ object, generation, body })),
    crossEffects,
  ])
}

function shuffle(resources: ResourceSet, choice: Choice): ResourceSet {
  const partitions = choice.shuffled([...resources.partitions]).map(([name, partition]) => {
    const objects = choice
      .shuffled([...partition.objects])
      .map(([kind, named]): [Kind, Map<string, SourceObject>] => [kind, new Map(choice.shuffled([...named]))])
    return [name, { namespace: partition.namespace, objects: new Map(objects) }] as const
  })
  return {
    ...resources,
    partitions: new Map(partitions),
    claims: choice.shuffled(resources.claims),
    lastGood: choice.shuffled(resources.lastGood),
  }
}

function firstDifference(a: string, b: string): string {
  let at = 0
  while (at < a.length && a[at] === b[at]) at += 1
  return `…${a.slice(Math.max(0, at - 200), at + 100)}… became …${b.slice(Math.max(0, at - 20), at + 100)}…`
}

// The chain of a rule: one flat list of steps for each hook, in the order of policies/index.ts. Load time, no sockets.
// An absent policy, and an absent hook of a present one, is absent from the lists and costs nothing.
import type { Exchange, Filter, Hooks, StepResult } from '../../model/filter.ts'
import type { RoutePlan } from '../../model/snapshot.ts'
import type { TenantState } from '../runtime/pod-state.ts'
import type { RouteProgram, Step } from './program.ts'

/** Filters by the name of their policy. `never`: whoever looks one up hands it the config that its own compile made. */
export type Filters = Readonly<Record<string, Filter<never>>>

/** The lists of a RouteProgram. */
export type Chain = Pick<
  RouteProgram,
  'slots' | 'onRequest' | 'onRequestChunk' | 'onResponse' | 'onResponseChunk' | 'onEnd'
>

type RequestHook = (exchange: Exchange, slot: number) => StepResult | Promise<StepResult>

/** Makes the hooks of each filter of the rule. Throws where this dataplane does not know a policy: never without it. */
export function createChain(plan: RoutePlan, filters: Filters, state: TenantState): Chain {
  const onRequest: Step<RequestHook>[] = []
  const onAuthenticated: Step<RequestHook>[] = []
  const onRequestChunk: Step<NonNullable<Hooks['onRequestChunk']>>[] = []
  const onResponse: Step<NonNullable<Hooks['onResponse']>>[] = []
  const onResponseChunk: Step<NonNullable<Hooks['onResponseChunk']>>[] = []
  const onEnd: Step<NonNullable<Hooks['onEnd']>>[] = []
  plan.filters.forEach(({ policy, config }, slot) => {
    const filter = Object.hasOwn(filters, policy) ? filters[policy] : undefined
    if (filter === undefined) throw new Error(`policy ${policy} is not known to this dataplane`)
    const hooks = filter(config as never, {
      tenant: plan.id.tenant,
      route: plan.id,
      limiter: (id, rate) => state.limiter(id, rate),
      count: (decision) => state.metrics.policyDecision(policy, decision),
    })
    addStep(onRequest, policy, slot, hooks, hooks.onRequest)
    addStep(onAuthenticated, policy, slot, hooks, hooks.onAuthenticated)
    addStep(onRequestChunk, policy, slot, hooks, hooks.onRequestChunk)
    addStep(onResponse, policy, slot, hooks, hooks.onResponse)
    addStep(onResponseChunk, policy, slot, hooks, hooks.onResponseChunk)
    addStep(onEnd, policy, slot, hooks, hooks.onEnd)
  })
  return {
    slots: plan.filters.length,
    // A hook that needs the identity runs after every hook that may establish one.
    onRequest: [...onRequest, ...onAuthenticated],
    onRequestChunk,
    onResponse,
    onResponseChunk,
    onEnd,
  }
}

function addStep<Hook>(steps: Step<Hook>[], policy: string, slot: number, hooks: Hooks, hook: Hook | undefined): void {
  if (hook !== undefined) steps.push({ policy, slot, hook, hooks })
}

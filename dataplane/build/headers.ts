// RequestHeaderModifier and ResponseHeaderModifier, prepared at load time as one function over a Head. Pure.
// build.ts makes them, the exchange applies them, explain shows them.
import { type Head, headerId } from '../../model/filter.ts'
import type { HeaderPlan } from '../../model/snapshot.ts'

/** A function that applies the plan: set, then add, then remove (Gateway API, HTTPHeaderFilter). null for no change. */
export function createHeaderChange(plan: HeaderPlan | null): ((head: Head) => void) | null {
  if (plan === null || plan.set.length + plan.add.length + plan.remove.length === 0) return null
  const { set, add } = plan
  const remove = plan.remove.map(headerId)
  return (head) => {
    for (const { name, value } of set) head.set(name, value)
    for (const { name, value } of add) head.add(name, value)
    for (const name of remove) head.remove(name)
  }
}

// The status of Atrium's kinds, as the CRDs declare it: conditions, what is served, short strings for tables. Pure.
// Only the controller writes it; the file source ignores it. To the API server it is opaque: with every field declared,
// an edit of a Route's spec made it allocate 1,090 KB, and 599 KB so (a ConfigMap: 124 KB; Kubernetes 1.37).
import { MAX_MESSAGE } from './issue.ts'
import { integer, list, object, oneOf, optional, type Schema, text } from './schema.ts'

const generation = (description: string) => integer({ description, minimum: -1, maximum: Number.MAX_SAFE_INTEGER })
const count = (description: string) => integer({ description, minimum: 0, maximum: 1_000_000_000 })
const short = (description: string) => text({ description, maxLength: 256 })

const condition = object(
  {
    type: text({
      description: 'Type of the condition; true is good for all of them.',
      minLength: 1,
      maxLength: 316,
      pattern: '^[A-Z][A-Za-z]*$',
    }),
    status: oneOf(['True', 'False', 'Unknown'], { description: 'Whether it holds.' }),
    reason: text({
      description: 'One word of the closed list; docs/errors has a page for each.',
      minLength: 1,
      maxLength: 128,
      pattern: '^[A-Z][A-Za-z]*$',
    }),
    message: text({ description: 'What happened and what to do.', maxLength: MAX_MESSAGE }),
    observedGeneration: optional(generation('Generation of the object that the condition is about.')),
    lastTransitionTime: text({ description: 'When the status last changed.', maxLength: 64, format: 'date-time' }),
  },
  { description: 'One condition, as `kubectl wait --for=condition=…` reads it.' },
)

/**
 * What an object has before the controller looked at it, so that nobody takes a new object for a ready one: kstatus,
 * Helm and `kubectl wait` read `observedGeneration` and the condition Ready.
 */
const PENDING = {
  observedGeneration: -1,
  conditions: [
    {
      type: 'Ready',
      status: 'Unknown',
      reason: 'Pending',
      message: 'Waiting for the controller.',
      lastTransitionTime: '1970-01-01T00:00:00Z',
    },
  ],
}

function status(summary: Record<string, Schema>, fields: Record<string, Schema>) {
  return object(
    {
      observedGeneration: optional(generation('Generation that the whole status is about; -1 before the first look.')),
      conditions: optional(
        list(condition, { description: 'Conditions, one of each type.', maxItems: 16, listType: { mapBy: ['type'] } }),
      ),
      summary: optional(object(summary, { description: 'Short strings for tables.' })),
      ...fields,
    },
    { description: 'What became of it; written by the controller.', default: PENDING, opaque: true },
  )
}

/** `Tenant.status`. */
export const tenantStatus = status(
  {
    namespaces: optional(short('Number of namespaces.')),
    pods: optional(short('Dataplane pods that have the newest version, of those that should: `3/3`.')),
  },
  {
    routes: optional(count('Routes in use.')),
    hostnames: optional(count('Hosts served.')),
  },
)

/** `Route.status`. */
export const routeStatus = status(
  {
    hosts: optional(short('The first hostname and how many more there are: `shop.example.com +2`.')),
    backends: optional(short('Endpoints ready, of all: `2/2`.')),
  },
  {
    serving: optional(
      object(
        {
          generation: generation('Generation that serves; an older one where the newest was rejected.'),
          pods: count('Dataplane pods that serve it.'),
          programmedAfter: optional(short('From the edit to the last pod: `42ms`.')),
        },
        { description: 'What serves.' },
      ),
    ),
  },
)

/** `Policy.status`. */
export const policyStatus = status(
  {
    targets: optional(short('What it targets: `Route/shop:api`.')),
    bodies: optional(short('Names of its bodies.')),
  },
  { attached: optional(count('Rules it applies to.')) },
)

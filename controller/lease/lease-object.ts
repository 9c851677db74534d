// A Lease as the API server writes it, to and from a LeaseRecord. Pure. lease.ts calls it.
import type { LeaseRecord, LeaseWrite } from './decision.ts'

/** Where the lease lives. */
export interface LeaseName {
  readonly name: string
  readonly namespace: string
  readonly labels: Readonly<Record<string, string>>
}

/** The body to send. `now` is for people who read it, and for whoever comes long after it. */
export function leaseBody({ record, resourceVersion }: LeaseWrite, where: LeaseName, now: Date): unknown {
  const time = now.toISOString().replace('Z', '000Z')
  return {
    apiVersion: 'coordination.k8s.io/v1',
    kind: 'Lease',
    metadata: { ...where, ...(resourceVersion === undefined ? {} : { resourceVersion }) },
    spec: {
      ...(record.holder === '' ? {} : { holderIdentity: record.holder }),
      leaseTransitions: record.transitions,
      leaseDurationSeconds: Math.max(1, Math.ceil(record.durationMs / 1000)),
      renewTime: time,
    },
  }
}

/** What an answer says; undefined where it is no Lease. Fields that make no sense count as absent. */
export function readLease(
  body: unknown,
): { record: LeaseRecord; resourceVersion: string; renewedAt: number | undefined } | undefined {
  const metadata = field(body, 'metadata')
  const resourceVersion = field(metadata, 'resourceVersion')
  if (typeof resourceVersion !== 'string' || resourceVersion === '') return undefined
  const spec = field(body, 'spec')
  const holder = field(spec, 'holderIdentity')
  const transitions = field(spec, 'leaseTransitions')
  const seconds = field(spec, 'leaseDurationSeconds')
  const renewTime = field(spec, 'renewTime')
  const renewedAt = typeof renewTime === 'string' ? Date.parse(renewTime) : Number.NaN
  return {
    renewedAt: Number.isNaN(renewedAt) ? undefined : renewedAt,
    record: {
      holder: typeof holder === 'string' ? holder : '',
      transitions: Number.isSafeInteger(transitions) && typeof transitions === 'number' ? Math.max(0, transitions) : 0,
      durationMs: typeof seconds === 'number' && seconds > 0 && seconds <= 600 ? seconds * 1000 : 0,
    },
    resourceVersion,
  }
}

function field(value: unknown, name: string): unknown {
  if (typeof value !== 'object' || value === null) return undefined
  return Object.entries(value).find(([key]) => key === name)?.[1]
}

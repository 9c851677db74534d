// Atrium's three kinds as an API server knows them: names, scope, schemas, columns of `kubectl get`. Pure.
// From here come the CRDs, the reference pages and the schemas for editors.
import { policyKind, tenantKind } from './decode.ts'
import type { PolicyDefinition } from './define-policy.ts'
import { routeSpec } from './route.ts'
import type { Schema } from './schema.ts'
import { policyStatus, routeStatus, tenantStatus } from './status.ts'

export const API_GROUP = 'atrium.dev'
export const API_VERSION = 'v1alpha1'

/** A column of `kubectl get`. `wide`: shown with `-o wide` only. A column is one JSON path: it can neither join nor count. */
export interface Column {
  readonly name: string
  readonly type: 'string' | 'integer' | 'boolean' | 'date'
  readonly jsonPath: string
  readonly wide?: true
  readonly description: string
}

export interface CustomKind {
  readonly kind: 'Tenant' | 'Route' | 'Policy'
  readonly plural: string
  readonly singular: string
  readonly shortName: string
  readonly scope: 'Cluster' | 'Namespaced'
  readonly description: string
  readonly spec: Schema
  readonly status: Schema
  readonly columns: readonly Column[]
}

const READY: readonly Column[] = [
  {
    name: 'Ready',
    type: 'string',
    jsonPath: '.status.conditions[?(@.type=="Ready")].status',
    description: 'Whether it serves.',
  },
  {
    name: 'Reason',
    type: 'string',
    jsonPath: '.status.conditions[?(@.type=="Ready")].reason',
    description: 'Why, in one word.',
  },
]
const MESSAGE: Column = {
  name: 'Message',
  type: 'string',
  jsonPath: '.status.conditions[?(@.type=="Ready")].message',
  wide: true,
  description: 'What happened and what to do.',
}
const AGE: Column = {
  name: 'Age',
  type: 'date',
  jsonPath: '.metadata.creationTimestamp',
  description: 'Time since it was made.',
}

/** The three kinds, with the bodies of these policies. */
export function customKinds(policies: readonly PolicyDefinition[]): readonly CustomKind[] {
  return [
    {
      kind: 'Tenant',
      plural: 'tenants',
      singular: 'tenant',
      shortName: 'atn',
      scope: 'Cluster',
      description: 'Who may do what, and how much. Written by the platform team.',
      spec: tenantKind(policies),
      status: tenantStatus,
      columns: [
        column('Namespaces', 'string', '.status.summary.namespaces', 'Number of namespaces.'),
        column('Routes', 'integer', '.status.routes', 'Routes in use.'),
        column('Hosts', 'integer', '.status.hostnames', 'Hosts served.'),
        column('Pods', 'string', '.status.summary.pods', 'Dataplane pods that have the newest version.'),
        ...READY,
        { ...column('Rate', 'string', '.spec.limits.requests.rate', 'Limit on requests.'), wide: true },
        { ...column('Suspended', 'boolean', '.spec.suspended', 'Whether all requests are answered 503.'), wide: true },
        MESSAGE,
        AGE,
      ],
    },
    {
      kind: 'Route',
      plural: 'routes',
      singular: 'route',
      shortName: 'art',
      scope: 'Namespaced',
      description: 'Where traffic goes.',
      spec: routeSpec,
      status: routeStatus,
      columns: [
        column('Hosts', 'string', '.status.summary.hosts', 'The first hostname and how many more there are.'),
        ...READY,
        column('Programmed', 'string', '.status.serving.programmedAfter', 'From the edit to the last pod.'),
        { ...column('Backends', 'string', '.status.summary.backends', 'Endpoints ready, of all.'), wide: true },
        { ...column('Generation', 'integer', '.status.serving.generation', 'Generation that serves.'), wide: true },
        MESSAGE,
        AGE,
      ],
    },
    {
      kind: 'Policy',
      plural: 'policies',
      singular: 'policy',
      shortName: 'apol',
      scope: 'Namespaced',
      description: 'What happens on the way. Without targetRefs it applies to every Route of its namespace.',
      spec: policyKind(policies),
      status: policyStatus,
      columns: [
        column('Targets', 'string', '.status.summary.targets', 'What it targets.'),
        column('Bodies', 'string', '.status.summary.bodies', 'Names of its bodies.'),
        column('Attached', 'integer', '.status.attached', 'Rules it applies to.'),
        ...READY,
        MESSAGE,
        AGE,
      ],
    },
  ]
}

function column(name: string, type: Column['type'], jsonPath: string, description: string): Column {
  return { name, type, jsonPath, description }
}

// The files of a new policy: complete and right, for a policy that does one small thing, so that there is something to
// change instead of something to fill in. Its golden case asks for more than it does, and fails. Part of new-policy.ts.

export interface PolicyNames {
  /** As in Policy.spec: apiKeys. */
  readonly name: string
  /** Of the folder: api-keys. */
  readonly folder: string
  /** Of types: ApiKeys. */
  readonly type: string
}

/** From path to text. */
export function policyFiles({ name, folder, type }: PolicyNames): ReadonlyMap<string, string> {
  const at = `policies/${folder}`
  return new Map([
    [
      `${at}/schema.ts`,
      `// What users write under \`${name}\`, and what a shard carries of it. Pure. Shared by compile.ts and filter.ts.
import { headerName } from '../../model/fields.ts'
import { object, type Value } from '../../model/schema.ts'

/** The body of \`${name}\`. */
export const ${name}Body = object(
  { header: headerName('A header that requests must have.') },
  { description: 'Requests without the header are refused.' },
)

export type ${type}Body = Value<typeof ${name}Body>

/** In a shard: header names in lower case, each once, ordered. */
export interface ${type}Config {
  readonly headers: readonly string[]
}
`,
    ],
    [
      `${at}/compile.ts`,
      `// ${name}, from bodies to the config of a shard. Pure. Must be at least as strict as every layer.
import { compareText } from '../../model/canonical.ts'
import type { PolicyLayer } from '../../model/define-policy.ts'
import type { ${type}Body, ${type}Config } from './schema.ts'

/** The config of one rule. */
export function compile${type}(layers: readonly PolicyLayer<${type}Body>[]): ${type}Config {
  const headers = new Set(layers.map(({ body }) => body.header.toLowerCase()))
  return { headers: [...headers].sort(compareText) }
}
`,
    ],
    [
      `${at}/policy.ts`,
      `// ${name}: one sentence about it. Pure. Door one: schema, places, order of strictness, compile.
import { definePolicy } from '../../model/define-policy.ts'
import { compile${type} } from './compile.ts'
import { ${name}Body } from './schema.ts'

/** The policy \`${name}\`. */
export const ${name} = definePolicy({
  name: '${name}',
  body: ${name}Body,
  attachesTo: ['TenantDefaults', 'TenantOverrides', 'Namespace', 'Route', 'Rule'],
  // All layers hold, so nothing that the tenant writes is looser or lost.
  looserFields: () => [],
  compile: compile${type},
})
`,
    ],
    [
      `${at}/filter.ts`,
      `// ${name}, running. Built at load time from the config of a shard; only the hooks that are there cost anything.
import { type Filter, headerId } from '../../model/filter.ts'
import type { ${type}Config } from './schema.ts'

/** The filter of \`${name}\`. */
export const ${name}Filter: Filter<${type}Config> = (config, services) => {
  const wanted = config.headers.map(headerId)
  return {
    onRequest(exchange) {
      const complete = wanted.every((header) => exchange.request.get(header) !== undefined)
      services.count(complete ? 'allowed' : 'refused')
      return complete ? undefined : { code: 'BadRequest', decidedBy: '${name}' }
    },
  }
}
`,
    ],
    [
      `${at}/policy.test.ts`,
      `// ${name}: what it lets through, over every layer.
import { expect, test } from 'vitest'
import type { PolicyLayer } from '../../model/define-policy.ts'
import type { FilterServices } from '../../model/filter.ts'
import { createTestExchange } from '../../test/support/exchange.ts'
import { ${name}Filter } from './filter.ts'
import { ${name} } from './policy.ts'
import type { ${type}Body } from './schema.ts'

const layer = (body: ${type}Body): PolicyLayer<${type}Body> => ({
  body,
  origin: { kind: 'Policy', namespace: 'acme', name: 'edge' },
  point: 'Namespace',
})

test('a request without the header is refused', () => {
  const decisions: string[] = []
  const services: FilterServices = {
    tenant: 'acme',
    route: { tenant: 'acme', namespace: 'acme', route: 'shop', rule: 0, ruleName: '' },
    limiter: () => ({ take: () => ({ allowed: true, remaining: 1, resetAfter: 0, retryAfter: 0 }) }),
    count: (decision) => decisions.push(decision),
  }
  const hooks = ${name}Filter(${name}.compile([layer({ header: 'X-Wanted' })]), services)
  expect(hooks.onRequest?.(createTestExchange({ fields: [['x-wanted', '1']] }), 0)).toBeUndefined()
  expect(hooks.onRequest?.(createTestExchange(), 0)).toMatchObject({ code: 'BadRequest' })
  expect(decisions).toEqual(['allowed', 'refused'])
})
`,
    ],
    [
      `${at}/README.md`,
      `# ${name}

One sentence about it, and what a refused request gets.

\`\`\`yaml
${name}: { header: x-wanted }
\`\`\`

- **Layers**: an override of the Tenant and the most specific body of the tenant both hold.
- **Where**: defaults and overrides of a Tenant, a namespace, a Route, a rule.
`,
    ],
    [`${at}/golden/first/in.yaml`, goldenInput(name)],
    [
      `${at}/golden/first/requests.yaml`,
      `- request: GET http://shop.acme.example.com/
  headers: { x-wanted: "1" }
  expect: { decision: Proxied, backend: web }
- name: change this to what ${name} is there for
  request: GET http://shop.acme.example.com/
  expect: { decision: Proxied }
`,
    ],
  ])
}

function goldenInput(name: string): string {
  return `# One sentence: what this case shows.
apiVersion: v1
kind: Namespace
metadata: { name: acme }
---
apiVersion: atrium.dev/v1alpha1
kind: Tenant
metadata: { name: acme }
spec: { namespaces: [acme], hostnames: [shop.acme.example.com] }
---
apiVersion: atrium.dev/v1alpha1
kind: Route
metadata: { namespace: acme, name: shop }
spec:
  hostnames: [shop.acme.example.com]
  rules: [{ name: all, backendRefs: [{ name: web, port: 80 }] }]
---
apiVersion: atrium.dev/v1alpha1
kind: Policy
metadata: { namespace: acme, name: edge }
spec:
  targetRefs: [{ kind: Route, name: shop }]
  ${name}: { header: x-wanted }
---
apiVersion: v1
kind: Service
metadata: { namespace: acme, name: web }
spec: { ports: [{ port: 80 }] }
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { namespace: acme, name: web-1, labels: { kubernetes.io/service-name: web } }
addressType: IPv4
endpoints: [{ addresses: [10.20.0.7], conditions: { ready: true } }]
ports: [{ port: 8080 }]
`
}

// The cases of wrong input: every field of every kind missing, of a wrong type, oversized, unknown; and texts with random
// damage. Deterministic for a seed. test/misfeed.test.ts and test/long/misfeed.ts feed them.

/** A world in which every field of every kind is used once, all of it good. Secrets are made by the caller. */
export function goodWorld(material: {
  readonly crt: string
  readonly key: string
  readonly ca: string
}): readonly Json[] {
  const meta = (name: string, more: Record<string, Json> = {}) => ({
    namespace: 'acme',
    name,
    labels: { team: 'acme' },
    annotations: { 'atrium.dev/owner': 'me' },
    ...more,
  })
  return [
    {
      apiVersion: 'atrium.dev/v1alpha1',
      kind: 'Tenant',
      metadata: { name: 'acme' },
      spec: {
        displayName: 'Acme',
        namespaces: ['acme'],
        namespaceSelector: {
          matchLabels: { team: 'acme' },
          matchExpressions: [{ key: 'tier', operator: 'In', values: ['gold'] }],
        },
        hostnames: ['acme.test', '*.acme.test'],
        hostnameExceptions: ['other.acme.test'],
        tls: { certificateRefs: [{ group: '', kind: 'Secret', name: 'tls', namespace: 'acme' }] },
        limits: {
          requests: { rate: '500/s', burst: 1000 },
          concurrency: 200,
          connections: 2000,
          bodySize: '10Mi',
          routes: 200,
        },
        policies: {
          defaults: { access: { ip: { deny: ['203.0.113.0/24'] } } },
          overrides: { access: { ip: { deny: ['198.51.100.0/24'] } } },
        },
        requires: ['access'],
        suspended: false,
      },
    },
    { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'acme', labels: { team: 'acme', tier: 'gold' } } },
    {
      apiVersion: 'atrium.dev/v1alpha1',
      kind: 'Route',
      metadata: meta('shop', { generation: 3, uid: 'u-1' }),
      spec: {
        hostnames: ['shop.acme.test'],
        requires: ['access'],
        tls: {
          certificateRefs: [{ name: 'tls' }],
          minVersion: '1.2',
          plainHTTP: 'Redirect',
          clientValidation: { caCertificateRefs: [{ group: '', kind: 'ConfigMap', name: 'ca' }], mode: 'Require' },
        },
        rules: [
          {
            name: 'api',
            matches: [
              {
                path: { type: 'PathPrefix', value: '/api' },
                method: 'GET',
                headers: [{ type: 'Exact', name: 'x-version', value: '2' }],
                queryParams: [{ type: 'RegularExpression', name: 'beta', value: '[01]' }],
              },
            ],
            filters: [
              {
                type: 'URLRewrite',
                urlRewrite: { hostname: 'in.acme.test', path: { type: 'ReplacePrefixMatch', replacePrefixMatch: '/' } },
              },
              {
                type: 'RequestHeaderModifier',
                requestHeaderModifier: {
                  set: [{ name: 'x-a', value: '1' }],
                  add: [{ name: 'x-b', value: '2' }],
                  remove: ['x-c'],
                },
              },
              { type: 'ResponseHeaderModifier', responseHeaderModifier: { set: [{ name: 'x-d', value: '1' }] } },
            ],
            backendRefs: [{ group: '', kind: 'Service', name: 'web', namespace: 'acme', port: 80, weight: 90 }],
            balance: { algorithm: 'RoundRobin' },
            timeouts: { request: '30s', backendRequest: '10s', connect: '1s', idle: '60s' },
            retry: { attempts: 2, when: ['ConnectFailure'], backoff: '25ms' },
            healthCheck: { passive: { consecutiveFailures: 5, ejectFor: '10s', maxEjectedPercent: 50 } },
          },
          {
            name: 'old',
            matches: [{ path: { type: 'Exact', value: '/old' } }],
            filters: [
              {
                type: 'RequestRedirect',
                requestRedirect: {
                  scheme: 'https',
                  hostname: 'new.acme.test',
                  path: { type: 'ReplaceFullPath', replaceFullPath: '/new' },
                  port: 8443,
                  statusCode: 301,
                },
              },
            ],
          },
        ],
      },
    },
    {
      apiVersion: 'atrium.dev/v1alpha1',
      kind: 'Policy',
      metadata: meta('edge'),
      spec: {
        targetRefs: [{ group: 'atrium.dev', kind: 'Route', name: 'shop', sectionName: 'api' }],
        access: { ip: { allow: ['10.0.0.0/8'], deny: ['10.9.0.0/16'] } },
        rateLimits: [{ name: 'per-client', rate: '20/s', burst: 40, key: [{ clientIP: {} }, { header: 'x-api-key' }] }],
      },
    },
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: meta('web'),
      spec: {
        type: 'ClusterIP',
        selector: { app: 'web' },
        ports: [{ name: 'http', port: 80, protocol: 'TCP', targetPort: 8080 }],
      },
    },
    {
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: meta('web-1', { labels: { 'kubernetes.io/service-name': 'web' } }),
      addressType: 'IPv4',
      ports: [{ name: 'http', port: 8080, protocol: 'TCP' }],
      endpoints: [
        {
          addresses: ['10.1.0.1'],
          conditions: { ready: true, serving: true, terminating: false },
          targetRef: { kind: 'Pod', namespace: 'acme', name: 'web-0', uid: 'p-1' },
          nodeName: 'n1',
          zone: 'z1',
        },
      ],
    },
    {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: meta('web-0', { uid: 'p-1' }),
      spec: { hostNetwork: false, nodeName: 'n1' },
      status: { phase: 'Running', podIP: '10.1.0.1', podIPs: [{ ip: '10.1.0.1' }] },
    },
    {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: meta('tls'),
      type: 'kubernetes.io/tls',
      data: { 'tls.crt': Buffer.from(material.crt).toString('base64') },
      stringData: { 'tls.key': material.key },
    },
    {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: meta('ca'),
      data: { 'ca.crt': material.ca },
      binaryData: { x: 'AAAA' },
    },
    {
      apiVersion: 'gateway.networking.k8s.io/v1',
      kind: 'ReferenceGrant',
      metadata: meta('grant'),
      spec: {
        from: [{ group: 'atrium.dev', kind: 'Route', namespace: 'other' }],
        to: [{ group: '', kind: 'Service', name: 'web' }],
      },
    },
  ]
}

/** Plain data, as JSON has it. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [field: string]: Json }

/** One wrong world. */
export interface MisfeedCase {
  readonly what: string
  readonly world: readonly Json[]
  /** The case cannot be right: somebody must complain. */
  readonly mustComplain: boolean
}

const OWN_KINDS: ReadonlySet<Json> = new Set(['Tenant', 'Route', 'Policy'])
const ODD_VALUES: readonly (readonly [string, Json])[] = [
  ['null', null],
  ['true', true],
  ['-1', -1],
  ['1.5', 1.5],
  ['1e308', 1e308],
  ['empty text', ''],
  ['text', 'text'],
  ['empty list', []],
  ['empty map', {}],
  ['odd text', '../\u2028%00\u202e$(x)'],
  ['long text', 'x'.repeat(70_000)],
  ['long list', Array.from({ length: 3_000 }, (_, index) => `v${index}`)],
  ['wide map', Object.fromEntries(Array.from({ length: 3_000 }, (_, index) => [`k${index}`, 'v']))],
  ['deep list', deep(25)],
]

/** Every field of every object: missing, of every odd value, and beside an unknown one. */
export function* fieldCases(world: readonly Json[]): Generator<MisfeedCase> {
  for (const [index, object] of world.entries()) {
    const kind = at(object, ['kind'])
    for (const path of pathsOf(object, [])) {
      const where = `${String(kind)}.${path.join('.')}`
      const value = at(object, path)
      const own = OWN_KINDS.has(kind ?? null) && path[0] === 'spec'
      const envelope = path.length === 1 ? path[0] !== 'spec' : path.join('.') === 'metadata.name'
      const place = (next: Json | undefined) =>
        world.map((each, other) => (other === index ? replaced(each, path, next) : each))
      yield {
        what: `${where} missing`,
        world: place(undefined),
        mustComplain: envelope && /^(apiVersion|kind|metadata)/.test(path.join('.')),
      }
      for (const [name, odd] of ODD_VALUES) yield { what: `${where} = ${name}`, world: place(odd), mustComplain: false }
      yield {
        what: `${where} of another type`,
        world: place(ofAnotherType(value)),
        mustComplain: own || path[0] === 'metadata',
      }
      if (own && isMap(value) && !path.includes('matchLabels')) {
        yield { what: `${where}.unknown`, world: place({ ...value, unknown: 1 }), mustComplain: true }
      }
    }
  }
}

/** The world as a text of several documents, in block style so that places are worth something. */
export function worldText(world: readonly Json[]): string {
  return world.map((object) => `---\n${blockText(object, '')}`).join('')
}

/** A text with one to three random damages. `random` gives whole numbers below its argument. */
export function damage(text: string, random: (below: number) => number): string {
  let damaged = text
  for (let count = 1 + random(3); count > 0; count--)
    damaged = DAMAGES[random(DAMAGES.length)]?.(damaged, random) ?? damaged
  return damaged
}

type Damage = (text: string, random: (below: number) => number) => string

const WORDS = [
  'null',
  'true',
  '-1',
  '[]',
  '{}',
  '"',
  "'",
  '&a',
  '*a',
  '<<: *a',
  '!x',
  '|',
  '>',
  '- ',
  '? ',
  ': ',
  '---',
  '...',
  '%YAML 1.2',
  '\t',
  '\u0000',
  '\ud800',
  '😀',
  '#',
  '0x',
  '1e999',
  '.inf',
  '~',
  '@',
  '`',
]

const lineDamage =
  (change: (lines: string[], at: number, random: (below: number) => number) => void): Damage =>
  (text, random) => {
    const lines = text.split('\n')
    change(lines, random(lines.length), random)
    return lines.join('\n')
  }

const DAMAGES: readonly Damage[] = [
  (text, random) => splice(text, random(text.length + 1), 1 + random(20), ''),
  (text, random) => splice(text, random(text.length + 1), 0, WORDS[random(WORDS.length)] ?? ''),
  (text, random) => splice(text, random(text.length + 1), 1, String.fromCharCode(random(256))),
  (text, random) => text.slice(0, random(text.length + 1)),
  (text, random) => splice(text, random(text.length + 1), 0, text.slice(random(text.length), random(text.length))),
  lineDamage((lines, at) => lines.splice(at, 1)),
  lineDamage((lines, at) => lines.splice(at, 0, lines[at] ?? '')),
  lineDamage((lines, at, random) => lines.splice(at, 0, ...lines.splice(random(lines.length), 1))),
  lineDamage((lines, at, random) => {
    lines[at] = `${' '.repeat(random(4))}${(lines[at] ?? '').slice(random(3))}`
  }),
  lineDamage((lines, at, random) => {
    lines[at] = (lines[at] ?? '').replace(/:.*/, `: ${WORDS[random(WORDS.length)] ?? ''}`)
  }),
  lineDamage((lines, at) => {
    lines[at] = (lines[at] ?? '').replace(/^(\s*-?\s*)(\w+):/, '$1$2x:')
  }),
  lineDamage((lines, at, random) => {
    lines[at] = (lines[at] ?? '').replace(/[\w.]+$/, (word) => word.repeat(1 + random(300)))
  }),
]

/** Whole numbers below a bound, the same for the same seed (a linear congruential generator is random enough here). */
export function randomFrom(seed: number): (below: number) => number {
  let state = seed >>> 0
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return below <= 0 ? 0 : Math.floor((state / 2 ** 32) * below)
  }
}

function splice(text: string, at: number, remove: number, insert: string): string {
  return text.slice(0, at) + insert + text.slice(at + remove)
}

function deep(levels: number): Json {
  let value: Json = 'bottom'
  for (let level = 0; level < levels; level++) value = [value]
  return value
}

function isMap(value: Json | undefined): value is { readonly [field: string]: Json } {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function ofAnotherType(value: Json | undefined): Json {
  return isMap(value) || Array.isArray(value) ? 'text' : { odd: 'map' }
}

function* pathsOf(
  value: Json | undefined,
  path: readonly (string | number)[],
): Generator<readonly (string | number)[]> {
  if (path.length > 0) yield path
  if (Array.isArray(value)) for (const [index, item] of value.entries()) yield* pathsOf(item, [...path, index])
  else if (isMap(value)) for (const [key, field] of Object.entries(value)) yield* pathsOf(field, [...path, key])
}

function at(value: Json, path: readonly (string | number)[]): Json | undefined {
  let found: Json | undefined = value
  for (const part of path) {
    if (Array.isArray(found)) found = found[Number(part)]
    else found = isMap(found) ? found[String(part)] : undefined
  }
  return found
}

function replaced(value: Json, path: readonly (string | number)[], next: Json | undefined): Json {
  const [part, ...rest] = path
  if (part === undefined) return next ?? null
  if (Array.isArray(value)) {
    return value.flatMap((item: Json, index) => {
      if (index !== part) return [item]
      if (rest.length > 0) return [replaced(item, rest, next)]
      return next === undefined ? [] : [next]
    })
  }
  if (!isMap(value)) return value
  const fields = Object.entries(value).flatMap(([key, field]): [string, Json][] => {
    if (key !== part) return [[key, field]]
    if (rest.length > 0) return [[key, replaced(field, rest, next)]]
    return next === undefined ? [] : [[key, next]]
  })
  return Object.fromEntries(fields)
}

function blockText(value: Json, indent: string): string {
  if (Array.isArray(value) && value.length > 0) {
    return value.map((item: Json) => `${indent}- ${blockText(item, `${indent}  `).trimStart()}`).join('')
  }
  if (isMap(value) && Object.keys(value).length > 0) {
    return Object.entries(value)
      .map(([key, field]) => {
        const nested = (isMap(field) || Array.isArray(field)) && Object.keys(field).length > 0
        return `${indent}${JSON.stringify(key)}:${nested ? `\n${blockText(field, `${indent}  `)}` : ` ${blockText(field, '')}`}`
      })
      .join('')
  }
  return `${indent}${JSON.stringify(value)}\n`
}

// Conditions from issues and acknowledgements, their summaries, and what the console says when they change.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type Issue, MAX_MESSAGE, REASONS, type Reason, type Severity } from '../../model/issue.ts'
import type { ObjectRef, SourceObject } from '../../model/resources.ts'
import { SNAPSHOT_FORMAT, type Snapshot, type TenantShard } from '../../model/snapshot.ts'
import type { ObjectResult } from '../compile/compile-types.ts'
import type { PodAcknowledgement } from '../publish/publisher.ts'
import type { SourceProblem } from '../sources/source.ts'
import type { ObjectStatus } from './conditions.ts'
import { createConsoleWriter } from './console-writer.ts'
import { PodAnswers } from './pod-answers.ts'
import { printable } from './printable.ts'
import { StatusBook, type StatusInput } from './status-book.ts'
import { summarise } from './summary.ts'

const ROUTE: ObjectRef = { kind: 'Route', namespace: 'acme-prod', name: 'shop' }
const TENANT: ObjectRef = { kind: 'Tenant', namespace: '', name: 'acme' }
const POLICY: ObjectRef = { kind: 'Policy', namespace: 'acme-prod', name: 'edge' }

function result(object: ObjectRef, more: Partial<ObjectResult> = {}): ObjectResult {
  return { object, generation: 2, tenant: 'acme', accepted: true, servingGeneration: 2, count: 1, ...more }
}

function issue(object: ObjectRef, reason: Reason, severity: Severity, more: Partial<Issue> = {}): Issue {
  return {
    object,
    generation: 2,
    tenant: 'acme',
    causes: [],
    condition: REASONS[reason].condition,
    reason,
    severity,
    message: `${reason} it is.`,
    path: [],
    ...more,
  }
}

const SHARD = {} as TenantShard
const SNAPSHOT: Snapshot = {
  format: SNAPSHOT_FORMAT,
  version: 'v1',
  endpointsRevision: 'e1',
  shards: new Map([['acme', SHARD]]),
  pools: new Map(),
}
const POD: PodAcknowledgement = { pod: 'pod-0', sequence: 1, version: 'v1', endpointsRevision: 'e1', refused: [] }

function statuses(
  objects: readonly ObjectResult[],
  issues: readonly Issue[] = [],
  more: Partial<StatusInput> = {},
  book = new StatusBook(),
) {
  return book.update({
    partitions: new Map(),
    result: { objects, issues, snapshot: SNAPSHOT },
    sourceIssues: [],
    acknowledgements: [POD],
    now: 1_000,
    ...more,
  })
}

function short(status: ObjectStatus | undefined): Record<string, string> {
  return Object.fromEntries(
    (status?.conditions ?? []).map(({ type, status: value, reason }) => [type, `${value} ${reason}`]),
  )
}

describe('conditions', () => {
  test('what is well is True everywhere, with the generation observed', () => {
    const [route, tenant, policy] = statuses([result(ROUTE), result(TENANT), result(POLICY, { count: 3 })])
    expect(short(route)).toEqual({
      Accepted: 'True Accepted',
      ResolvedRefs: 'True ResolvedRefs',
      Programmed: 'True Programmed',
      Ready: 'True Serving',
    })
    expect(short(tenant)).toEqual({
      Accepted: 'True Accepted',
      Programmed: 'True Programmed',
      Healthy: 'True Serving',
      Ready: 'True Serving',
    })
    expect(short(policy)).toEqual({ Accepted: 'True Accepted', Attached: 'True Attached', Ready: 'True Serving' })
    expect(policy?.ready.message).toBe('In force on 3 rules.')
    expect(route?.conditions.every((condition) => condition.observedGeneration === 2)).toBe(true)
  })

  test('a rejected Route is not ready by that reason, and its tenant only not healthy', () => {
    const [route, tenant] = statuses(
      [result(ROUTE, { accepted: false, servingGeneration: null }), result(TENANT)],
      [issue(ROUTE, 'HostNotOwned', 'rejects')],
    )
    expect(short(route)).toMatchObject({
      Accepted: 'False HostNotOwned',
      Programmed: 'False HostNotOwned',
      Ready: 'False HostNotOwned',
    })
    expect(short(tenant)).toMatchObject({
      Accepted: 'True Accepted',
      Healthy: 'False SomeRoutesRejected',
      Ready: 'True Serving',
    })
    expect(tenant?.conditions[2]?.message).toBe('1 Route is not in use: acme-prod/shop.')
  })

  test('a kept last good form says so beside the reason', () => {
    const [route] = statuses(
      [result(ROUTE, { accepted: false, generation: 3, servingGeneration: 2 })],
      [
        issue(ROUTE, 'KeptLastGood', 'degrades', { generation: 3 }),
        issue(ROUTE, 'Invalid', 'rejects', { generation: 3 }),
      ],
    )
    expect(short(route)).toMatchObject({
      Accepted: 'False Invalid',
      Programmed: 'False KeptLastGood',
      Ready: 'False Invalid',
    })
    expect(route?.ready.message).toBe('Invalid it is. KeptLastGood it is.')
  })

  test('a form that the source could not read counts like one that compile rejects', () => {
    const [route] = statuses([result(ROUTE)], [], {
      sourceIssues: [issue(ROUTE, 'Invalid', 'rejects', { generation: 3 })],
    })
    expect(short(route)).toMatchObject({ Accepted: 'False Invalid', Programmed: 'False KeptLastGood' })
    expect(route?.generation).toBe(3)
    const [unknown] = statuses([], [], { sourceIssues: [issue(ROUTE, 'Invalid', 'rejects', { tenant: '' })] })
    expect(short(unknown)).toMatchObject({
      Accepted: 'False Invalid',
      Programmed: 'False Invalid',
      Ready: 'False Invalid',
    })
  })

  test('degraded references make Ready False, warnings only name the reason', () => {
    const [route] = statuses([result(ROUTE)], [issue(ROUTE, 'BackendNotFound', 'degrades')])
    expect(short(route)).toMatchObject({
      Accepted: 'True Accepted',
      ResolvedRefs: 'False BackendNotFound',
      Ready: 'False BackendNotFound',
    })
    const [policy] = statuses([result(POLICY)], [issue(POLICY, 'PartlyOverridden', 'warns')])
    expect(short(policy)).toEqual({
      Accepted: 'True Accepted',
      Attached: 'True PartlyOverridden',
      Ready: 'True PartlyOverridden',
    })
  })

  test('a suspended tenant is not ready, by that reason', () => {
    const [tenant] = statuses([result(TENANT)], [issue(TENANT, 'Suspended', 'degrades')])
    expect(short(tenant)).toMatchObject({
      Accepted: 'True Accepted',
      Programmed: 'True Programmed',
      Ready: 'False Suspended',
    })
  })

  test('what depends on the time is judged at the time', () => {
    const expiring = issue(ROUTE, 'CertificateExpiring', 'warns', { from: 500, until: 2_000 })
    const expired = issue(ROUTE, 'CertificateExpired', 'degrades', { from: 2_000 })
    const at = (now: number) => short(statuses([result(ROUTE)], [expiring, expired], { now })[0])['Ready']
    expect([at(499), at(500), at(1_999), at(2_000)]).toEqual([
      'True Serving',
      'True CertificateExpiring',
      'True CertificateExpiring',
      'False CertificateExpired',
    ])
  })

  test('pods: none yet, some behind, one that refuses', () => {
    const of = (...acknowledgements: PodAcknowledgement[]) =>
      short(statuses([result(ROUTE)], [], { acknowledgements })[0])
    expect(of()).toMatchObject({ Programmed: 'Unknown NoResources', Ready: 'Unknown NoResources' })
    expect(of(POD, { ...POD, pod: 'pod-1', version: 'v0' })).toMatchObject({ Programmed: 'Unknown PodsPending' })
    const refused = [{ tenant: 'acme', message: 'too new' }]
    expect(of({ ...POD, refused })).toMatchObject({ Programmed: 'False PodsRefused', Ready: 'False PodsRefused' })
    expect(of({ ...POD, refused: [{ tenant: 'globex', message: 'too new' }] })).toMatchObject({
      Programmed: 'True Programmed',
    })
  })

  test('a pod that is behind for the sake of others only is not behind for this tenant', () => {
    const mine = {} as Snapshot['shards'] extends ReadonlyMap<string, infer Shard> ? Shard : never
    const shards = new Map([['acme', mine]])
    const answers = [{ ...POD, version: 'v0' }]
    const of = (former: Snapshot['shards'] | undefined) => {
      const pods = new PodAnswers({ version: 'v1', shards }, answers, () => former)
      return [pods.outcome('acme').reason, pods.serving('acme')]
    }
    expect(of(undefined)).toEqual(['PodsPending', 0])
    expect(of(new Map([['acme', { ...mine }]]))).toEqual(['PodsPending', 0])
    expect(of(new Map([['acme', mine]]))).toEqual(['Programmed', 1])
  })

  test('whatever the issues: one condition of a type, messages bounded, Ready false where anything that counts is', () => {
    const reason = fc.constantFrom(...(Object.keys(REASONS) as Reason[]))
    const severity = fc.constantFrom<Severity>('rejects', 'degrades', 'warns')
    const object = fc.constantFrom(ROUTE, TENANT, POLICY, { kind: 'Secret', namespace: 'a', name: 's' } as const)
    const any = fc
      .tuple(object, reason, severity, fc.string({ maxLength: 2_000 }), fc.option(fc.nat(2_000), { nil: undefined }))
      .map(([ref, why, how, message, from]) =>
        issue(ref, why, how, { message, ...(from === undefined ? {} : { from }) }),
      )
    fc.assert(
      fc.property(fc.array(any, { maxLength: 8 }), fc.boolean(), (issues, accepted) => {
        for (const status of statuses([result(ROUTE, { accepted }), result(TENANT), result(POLICY)], issues)) {
          const types = status.conditions.map((condition) => condition.type)
          expect(new Set(types).size).toBe(types.length)
          expect(types.at(-1)).toBe('Ready')
          for (const condition of status.conditions) expect(condition.message.length).toBeLessThanOrEqual(MAX_MESSAGE)
          const counting = status.conditions.filter(({ type }) => type !== 'Healthy' && type !== 'Ready')
          if (counting.some((condition) => condition.status === 'False')) expect(status.ready.status).toBe('False')
        }
      }),
    )
  })
})

describe('the book', () => {
  test('hands on what says what it said, and gives what a new one gives', () => {
    const objects = [result(ROUTE), result(TENANT), result(POLICY)]
    const wrong = [
      issue(ROUTE, 'HostNotOwned', 'rejects'),
      issue({ kind: 'Secret', namespace: 'a', name: 's' }, 'Invalid', 'rejects'),
    ]
    const book = new StatusBook()
    const first = statuses(objects, wrong, {}, book)
    const second = statuses(objects, wrong, {}, book)
    expect(second).toHaveLength(4)
    for (const [index, status] of second.entries()) expect(status).toBe(first[index])
    const mended = statuses(objects, [], {}, book)
    expect(mended).toEqual(statuses(objects, []))
    expect(mended[2]).toBe(first[2])
    const silent = statuses(objects, [], { acknowledgements: [] }, book)
    expect(silent).toEqual(statuses(objects, [], { acknowledgements: [] }))
  })
})

describe('summaries', () => {
  const written = (kind: SourceObject['kind'], spec: unknown): SourceObject => ({
    kind,
    metadata: { name: 'x', namespace: 'a', generation: 1, labels: {}, annotations: {} },
    body: { spec },
  })

  test('hosts, namespaces, targets and bodies as one short text each', () => {
    expect(summarise(written('Route', { hostnames: ['a.test', 'b.test', 'c.test'] }))).toEqual({ hosts: 'a.test +2' })
    expect(summarise(written('Route', {}))).toEqual({ hosts: '-' })
    expect(summarise(written('Tenant', { hostnames: ['a.test'], namespaces: ['x', 'y'] }))).toEqual({
      hosts: 'a.test',
      namespaces: 'x +1',
    })
    const targetRefs = [{ kind: 'Route', name: 'shop', sectionName: 'api' }]
    expect(summarise(written('Policy', { targetRefs, rateLimits: [], access: {} }))).toEqual({
      targets: 'Route/shop:api',
      bodies: 'access,rateLimits',
    })
    expect(summarise(written('Policy', { access: {} }))).toEqual({ targets: 'all Routes', bodies: 'access' })
  })

  test('no spec makes it throw', () => {
    fc.assert(
      fc.property(fc.anything(), fc.constantFrom('Route', 'Tenant', 'Policy', 'Secret'), (spec, kind) => {
        summarise(written(kind as SourceObject['kind'], spec))
      }),
    )
  })
})

describe('the console', () => {
  function rig(format: 'text' | 'json' = 'text') {
    const lines: string[] = []
    const writer = createConsoleWriter({
      write: (line) => lines.push(line),
      format,
      locate: (object, path) =>
        object.name === 'gone' ? undefined : { file: `${object.name}.yaml`, line: path.length + 1, column: 7 },
      now: () => 0,
    })
    const report = (
      list: readonly ObjectStatus[],
      problems: readonly SourceProblem[] = [],
      notes: readonly SourceProblem[] = [],
    ) => {
      lines.length = 0
      writer.report({ statuses: list, problems, notes })
      return [...lines]
    }
    return report
  }
  const good = () => statuses([result(ROUTE)])
  const bad = () =>
    statuses(
      [result(ROUTE, { accepted: false })],
      [issue(ROUTE, 'HostNotOwned', 'rejects', { path: ['spec', 'hostnames', 0] })],
    )

  test('a rejection in the form of the command line, an acceptance in one line, silence in between', () => {
    const report = rig()
    expect(report(good())).toEqual([])
    expect(report(bad())).toEqual([
      'shop.yaml:4:7  Route acme-prod/shop  rejected  HostNotOwned',
      '  spec.hostnames[0]: HostNotOwned it is.',
      '  Ask the platform team to add it to the Tenant, or use a host you own.',
      '  atrium help HostNotOwned',
    ])
    expect(report(bad())).toEqual([])
    expect(report(good())).toEqual(['shop.yaml:1:7  Route acme-prod/shop  serving'])
    expect(report(good())).toEqual([])
  })

  test('the second trouble is told beside the first, and nothing twice', () => {
    const report = rig()
    const list = statuses(
      [result(ROUTE)],
      [
        issue(ROUTE, 'HostNotOwned', 'degrades', {
          path: ['spec', 'hostnames', 0],
          message: 'spec.hostnames[0] is not yours. Use another.',
        }),
        issue(ROUTE, 'BackendNotFound', 'degrades', { message: 'Service acme/web does not exist. Create it.' }),
      ],
    )
    expect(report(list)).toEqual([
      'shop.yaml:4:7  Route acme-prod/shop  degraded  HostNotOwned',
      '  spec.hostnames[0] is not yours. Use another.',
      '  Also BackendNotFound: Service acme/web does not exist. Create it.',
      '  atrium help HostNotOwned',
    ])
  })

  test('what is wrong at the start is told, what is well is not', () => {
    const report = rig()
    expect(report([...bad(), ...statuses([result(TENANT)])])[0]).toBe(
      'shop.yaml:4:7  Route acme-prod/shop  rejected  HostNotOwned',
    )
    expect(report([...bad()])).toEqual(['acme.yaml:1:7  Tenant acme  serving'])
  })

  test('a new object is told, and one that is gone', () => {
    const report = rig()
    const gone = statuses([result({ ...ROUTE, name: 'gone' })])
    report([])
    expect(report(gone)).toEqual(['Route acme-prod/gone  serving'])
    expect(report([])).toEqual(['Route acme-prod/gone  removed'])
  })

  test('problems of files are told once and again when they are gone', () => {
    const report = rig()
    const problem = { position: { file: 'a.yaml', line: 3, column: 1 }, message: 'missing closing "quote' }
    expect(report([], [problem])).toEqual(['a.yaml:3:1  unreadable  missing closing "quote'])
    expect(report([], [problem])).toEqual([])
    expect(report([], [])).toEqual(['a.yaml:3:1  readable  Nothing is wrong with the file any more.'])
    const note = { position: { file: 'd.yaml', line: 1, column: 1 }, message: 'Deployment is not read by Atrium' }
    expect(report([], [], [note])).toEqual(['d.yaml:1:1  note  Deployment is not read by Atrium'])
    expect(report([], [], [note])).toEqual([])
  })

  test('one JSON object a line where nobody watches', () => {
    const report = rig('json')
    const [line] = report(bad())
    expect(JSON.parse(line ?? '')).toEqual({
      time: '1970-01-01T00:00:00.000Z',
      event: 'config.rejected',
      file: 'shop.yaml',
      line: 4,
      column: 7,
      kind: 'Route',
      namespace: 'acme-prod',
      name: 'shop',
      tenant: 'acme',
      generation: 2,
      ready: 'False',
      reason: 'HostNotOwned',
      path: 'spec.hostnames[0]',
      message: 'HostNotOwned it is.',
    })
  })

  test('no control byte and no turning mark reaches a terminal', () => {
    expect(printable('a\u001b[31mb\u202ec\r\nd\u0085')).toBe('a\\u{1b}[31mb\\u{202e}c\\u{d}\\u{a}d\\u{85}')
    const report = rig()
    const evil = issue(ROUTE, 'Invalid', 'rejects', { message: 'x\u001b]0;title\u0007\ny' })
    const lines = report(statuses([result(ROUTE, { accepted: false })], [evil]))
    fc.assert(
      fc.property(
        fc.string({ unit: 'binary' }),
        (text) => !/[\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/.test(printable(text)),
      ),
    )
    expect(lines.join('')).not.toMatch(/[\u0000-\u001f]/)
    const [line = ''] = rig('json')(
      statuses(
        [result(ROUTE, { accepted: false })],
        [issue(ROUTE, 'Invalid', 'rejects', { message: '\u202e\u0085x' })],
      ),
    )
    expect(line).not.toMatch(/[\u0080-\u009f\u202e]/)
    expect(JSON.parse(line).message).toBe('\u202e\u0085x')
  })
})

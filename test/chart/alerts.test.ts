// The alert rules of the chart: each fires when it should and not when it almost should (promtool, which
// `e2e/cluster/build --promtool` makes), and asks only for metrics and reasons that exist.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { parse, stringify } from 'yaml'
import { METRICS } from '../../dataplane/runtime/metrics-table.ts'
import { GATEWAY_ERRORS } from '../../model/gateway-error.ts'
import { clusterProgram, runProgram } from '../support/cluster-programs.ts'
import { CHART, HELM, render } from './render.ts'

interface Alert {
  readonly alert: string
  readonly expr: string
}

interface Case {
  readonly alert: string
  readonly at: string
  readonly fires: readonly unknown[]
  readonly almost: readonly unknown[]
}

const alerts = parse(readFileSync(join(CHART, 'files', 'alerts.yaml'), 'utf8')) as readonly Alert[]
const cases = parse(readFileSync(join(import.meta.dirname, 'alerts.yaml'), 'utf8')) as readonly Case[]
const CONTROLLER = join(import.meta.dirname, '..', '..', 'controller')
const PROMTOOL = clusterProgram('promtool')
const ready = PROMTOOL !== undefined && HELM !== undefined
const title = ready ? 'promtool' : 'promtool (skipped: none here; e2e/cluster/build and build --promtool make it)'

test('every alert has a case, and every case an alert', () => {
  expect(cases.map(({ alert }) => alert).sort()).toEqual(alerts.map(({ alert }) => alert).sort())
})

test('every metric and reason that is asked for exists', () => {
  const shown = [
    ...Object.values(METRICS).map(({ name }) => name),
    ...['metrics.ts', join('sources', 'kubernetes', 'watch-status.ts')].flatMap((file) => {
      const text = readFileSync(join(CONTROLLER, file), 'utf8')
      return [...text.matchAll(/'(atrium_[a-z_]+)'/g)].flatMap(([, name]) => name ?? [])
    }),
  ]
  for (const { alert, expr } of alerts) {
    for (const [name] of expr.matchAll(/atrium_[a-z_]+/g)) {
      expect(shown, `${alert}: ${name}`).toContain(name.replace(/_(bucket|count|sum)$/, ''))
    }
    for (const [, words] of expr.matchAll(/reason=~?"([A-Za-z|]+)"/g)) {
      for (const word of words?.split('|') ?? []) expect(Object.keys(GATEWAY_ERRORS), alert).toContain(word)
    }
  }
})

describe.skipIf(!ready)(title, () => {
  test('every rule fires, and does not when it almost should', () => {
    const folder = mkdtempSync(join(tmpdir(), 'atrium-alerts-'))
    try {
      const spec = render('metrics: { podMonitor: { force: true } }').find(({ kind }) => kind === 'PrometheusRule')?.[
        'spec'
      ]
      const rules = (spec as { groups: readonly { rules: readonly Alert[] }[] }).groups.flatMap((group) => group.rules)
      // A file for each alert: a case need not evaluate the rules of all others, minute by minute.
      const files = cases.map((each) => {
        const file = join(folder, `${each.alert}.test.yaml`)
        const own = rules.filter(({ alert }) => alert === each.alert)
        writeFileSync(join(folder, `${each.alert}.yaml`), stringify({ groups: [{ name: 'one', rules: own }] }))
        writeFileSync(file, stringify({ rule_files: [`${each.alert}.yaml`], tests: testsOf(each) }))
        return file
      })
      const { status, stdout, stderr } = runProgram(PROMTOOL ?? '', ['test', 'rules', ...files])
      expect(status, `${stdout}\n${stderr}`).toBe(0)
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  })
})

/** Two tests: one in which an alert is there, one in which none is. Labels are read off by name, so they are not compared. */
function testsOf({ alert, at, fires, almost }: Case): readonly unknown[] {
  const asked = (series: readonly unknown[], name: string, samples: readonly unknown[]) => ({
    name: `${alert} ${name}`,
    interval: '1m',
    input_series: series,
    promql_expr_test: [
      { expr: `count(ALERTS{alertname="${alert}",alertstate="firing"}) > bool 0`, eval_time: at, exp_samples: samples },
    ],
  })
  return [asked(fires, 'fires', [{ labels: '{}', value: 1 }]), asked(almost, 'almost fires', [])]
}

// Renders the chart with the helm of e2e/cluster. Used by the tests of the chart.
import { join } from 'node:path'
import { parseAllDocuments } from 'yaml'
import { clusterProgram, type Ran, runProgram } from '../support/cluster-programs.ts'

export const CHART = join(import.meta.dirname, '..', '..', 'charts', 'atrium')
export const HELM = clusterProgram('helm')

/** An object as rendered. */
export interface Rendered {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: { readonly name: string; readonly namespace?: string; readonly labels?: Record<string, string> }
  readonly [field: string]: unknown
}

/** Runs `helm template`. `values` is YAML. */
export function template(values: string, flags: readonly string[] = [], chart = CHART): Ran {
  const args = ['template', 'atrium', chart, '--namespace', 'atrium-system', '--values', '-', ...flags]
  return runProgram(HELM ?? 'helm', args, { input: values === '' ? '{}' : values })
}

/** The objects. Throws what helm says where it refuses. */
export function render(values: string, flags: readonly string[] = []): readonly Rendered[] {
  const { status, stdout, stderr } = template(values, flags)
  if (status !== 0) throw new Error(stderr)
  return parseAllDocuments(stdout)
    .map((document) => document.toJSON() as Rendered | null)
    .filter((object) => object !== null)
}

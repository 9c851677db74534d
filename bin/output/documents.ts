// The machine forms of an answer: one JSON object, one YAML document, JSON lines. Pure. They only grow within v1.
import { stringify } from 'yaml'

/** The outer object of every `-o json` and `-o yaml`. */
export interface AnswerDocument {
  readonly kind: string
  readonly items: readonly unknown[]
  readonly warnings?: readonly string[]
  readonly [extra: string]: unknown
}

/** One JSON object. */
export function jsonDocument(answer: AnswerDocument): string {
  const { kind, items, warnings, ...extra } = answer
  return JSON.stringify(
    { apiVersion: 'cli.atrium.dev/v1', kind, ...extra, items, warnings: warnings ?? [] },
    undefined,
    2,
  )
}

/** The same as YAML. */
export function yamlDocument(answer: AnswerDocument): string {
  return yamlText(JSON.parse(jsonDocument(answer)))
}

/** One JSON object a line. */
export function jsonLines(items: readonly unknown[]): string {
  return items.map((item) => JSON.stringify(item)).join('\n')
}

/** Plain data as YAML, without anchors and without wrapped lines. */
export function yamlText(value: unknown): string {
  return stringify(value, { lineWidth: 0, aliasDuplicateObjects: false }).trimEnd()
}

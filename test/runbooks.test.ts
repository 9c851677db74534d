// The runbooks: a page for each alert of the chart and none besides, with the alert's own words at its head, and commands
// that exist.
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { createProgram } from '../bin/program.ts'
import { helpTopics } from '../bin/help-pages.ts'
import { METRICS } from '../dataplane/runtime/metrics-table.ts'

const ROOT = join(import.meta.dirname, '..')
const FOLDER = join(ROOT, 'docs', 'runbooks')

interface Alert {
  readonly alert: string
  readonly severity: string
  readonly team: string
  readonly for: string
  readonly summary: string
}

const alerts = parse(readFileSync(join(ROOT, 'charts', 'atrium', 'files', 'alerts.yaml'), 'utf8')) as readonly Alert[]
const read = (name: string) => readFileSync(join(FOLDER, `${name}.md`), 'utf8')
const verbs = new Map(createProgram().commands.map((command) => [command.name(), command]))

test('there is a page for each alert, and for nothing else', () => {
  const pages = readdirSync(FOLDER).map((file) => file.replace(/\.md$/, ''))
  expect(pages.sort()).toEqual([...alerts.map(({ alert }) => alert), 'README'].sort())
})

test('the list names each alert as the chart has it', () => {
  const list = read('README')
  expect(list).toContain('alerts: { runbookURL: ')
  for (const { alert, severity, team, summary } of alerts) {
    expect(list).toContain(`| [${alert}](${alert}.md) | ${severity} | ${team} | ${summary} |`)
  }
})

describe.each(alerts)('$alert', (own) => {
  const text = read(own.alert)

  test('says in order what it is, who is hurt, how to look, what to do', () => {
    expect(text).toContain(`# ${own.alert}\n\n${own.summary}.\n\n${own.severity} · ${own.team} · after ${own.for}\n`)
    const heads = [...text.matchAll(/^## (.+)$/gm)].map(([, head]) => head)
    expect(heads).toEqual(['What it means', 'Who is hurt', 'Look', 'Do'])
    expect(text.split('\n').length).toBeLessThanOrEqual(60)
  })

  test('asks for verbs, flags and metrics that exist, and links to pages that do', () => {
    for (const [, verb = '', rest = ''] of text.matchAll(/npx atrium ([a-z]+)([^`\n]*)/g)) {
      const command = verbs.get(verb)
      expect(command, verb).toBeDefined()
      for (const [flag] of rest.matchAll(/(?<= )--?[a-z][a-z-]*/g)) {
        const known = command?.options.flatMap(({ short, long }) => [short, long])
        expect(known, `atrium ${verb}`).toContain(flag)
      }
      if (verb === 'help' && rest !== ' REASON') expect(helpTopics()).toContain(rest.trim())
    }
    for (const [name] of text.matchAll(/\batrium_[a-z_]+/g)) {
      expect(shown, name).toContain(name.replace(/_(bucket|count|sum)$/, ''))
    }
    for (const [, link = ''] of text.matchAll(/\]\(([^)#]+)(?:#[^)]*)?\)/g)) {
      expect(existsSync(join(dirname(join(FOLDER, own.alert)), link)), link).toBe(true)
    }
  })
})

const shown = [
  ...Object.values(METRICS).map(({ name }) => name),
  ...['metrics.ts', join('sources', 'kubernetes', 'watch-status.ts')].flatMap((file) => {
    const text = readFileSync(join(ROOT, 'controller', file), 'utf8')
    return [...text.matchAll(/'(atrium_[a-z_]+)'/g)].flatMap(([, name]) => name ?? [])
  }),
]

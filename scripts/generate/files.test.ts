// The generated files: YAML that both versions read alike, examples that are right, a page for every word.
import { expect, test } from 'vitest'
import { parse } from 'yaml'
import { customResourceDefinition } from '../../model/crd.ts'
import { customKinds } from '../../model/custom-kinds.ts'
import { createDecoders } from '../../model/decode.ts'
import { GATEWAY_ERRORS } from '../../model/gateway-error.ts'
import { REASONS } from '../../model/issue.ts'
import { POLICIES } from '../../policies/index.ts'
import { EXAMPLES } from './examples.ts'
import { generatedFiles } from './files.ts'

const files = generatedFiles()

test.each(customKinds(POLICIES))('$kind: YAML 1.1 and 1.2 read the CRD alike', (kind) => {
  const text = files.get(`crds/${kind.plural}.yaml`) ?? ''
  const wanted = JSON.parse(JSON.stringify(customResourceDefinition(kind)))
  expect(parse(text, { version: '1.1' })).toEqual(wanted)
  expect(parse(text, { version: '1.2' })).toEqual(wanted)
  expect(text.length).toBeLessThan(150_000)
})

test('the examples are right', () => {
  const decoders = createDecoders(POLICIES)
  expect(decoders.tenant(EXAMPLES.Tenant)).toMatchObject({ ok: true })
  expect(decoders.route(EXAMPLES.Route)).toMatchObject({ ok: true })
  expect(decoders.policy(EXAMPLES.Policy)).toMatchObject({ ok: true })
})

test('every reason and every error has a page, and every link of the index leads to one', () => {
  for (const word of [...Object.keys(REASONS), ...Object.keys(GATEWAY_ERRORS)]) {
    expect(files.get(`docs/errors/${word}.md`)).toContain(`# ${word}\n`)
  }
  for (const [, page] of (files.get('docs/errors/README.md') ?? '').matchAll(/\]\(([^)]+)\)/g)) {
    expect(files.has(`docs/errors/${page}`)).toBe(true)
  }
})

test('tables are whole: every row has as many cells as its head', () => {
  for (const [path, text] of files) {
    if (!path.endsWith('.md')) continue
    for (const block of text.split('\n\n').filter((each) => each.startsWith('| '))) {
      const widths = block
        .trim()
        .split('\n')
        .map((line) => line.replaceAll('\\|', '').split('|').length)
      expect(new Set(widths).size, `${path}: ${block.slice(0, 80)}`).toBe(1)
    }
  }
})

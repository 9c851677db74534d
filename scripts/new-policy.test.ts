// A new policy compiles as it is written, and names that cannot be are refused.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { parseAllDocuments } from 'yaml'
import { parseSource } from '../test/support/source-tree.ts'
import { policyNames, writePolicy } from './new-policy.ts'

test('names', () => {
  expect(policyNames('apiKeys')).toEqual({ name: 'apiKeys', folder: 'api-keys', type: 'ApiKeys' })
  expect(policyNames('cors')).toEqual({ name: 'cors', folder: 'cors', type: 'Cors' })
  for (const name of ['', 'Cors', 'api-keys', '../x', 'access', 'targetRefs', 'default', '__proto__']) {
    expect(typeof policyNames(name)).toBe('string')
  }
})

test('the files are written once, import what exists, and the case holds every object it needs', () => {
  const root = mkdtempSync(join(tmpdir(), 'atrium-new-policy-'))
  try {
    const names = policyNames('apiKeys')
    if (typeof names === 'string') throw new Error(names)
    const written = writePolicy(root, names)
    expect(written).toContain('policies/api-keys/filter.ts')
    for (const path of written) {
      const text = readFileSync(join(root, path), 'utf8')
      if (path.endsWith('.ts')) expect(parseSource(path, text).imports.length).toBeGreaterThan(0)
      if (path.endsWith('in.yaml')) expect(parseAllDocuments(text)).toHaveLength(6)
    }
    expect(writePolicy(root, names)).toBe('policies/api-keys exists already.')
  } finally {
    rmSync(root, { recursive: true })
  }
})

import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { checkAccessLog, checkStateFolder } from './start-checks.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'atrium-checks-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

describe('before anything starts', () => {
  it('makes the state folder, and says where nothing can be kept', () => {
    checkStateFolder(join(folder, 'a', 'b'))
    expect(statSync(join(folder, 'a', 'b')).isDirectory()).toBe(true)
    writeFileSync(join(folder, 'file'), '')
    expect(() => checkStateFolder(join(folder, 'file'))).toThrow(/--state .*file: nothing can be kept there/)
    expect(() => checkStateFolder(join(folder, 'file', 'x'))).toThrow(/nothing can be kept there/)
  })

  it('opens the access log once, and says where it cannot be written', () => {
    checkAccessLog('stdout')
    checkAccessLog('off')
    checkAccessLog(join(folder, 'access.log'))
    expect(statSync(join(folder, 'access.log')).size).toBe(0)
    expect(() => checkAccessLog(join(folder, 'none', 'access.log'))).toThrow(/cannot be written \(ENOENT\)/)
  })
})

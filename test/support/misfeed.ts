// Feeds wrong input through source, compile and conditions, and says what the system should have said and did not.
// test/misfeed.test.ts runs a part of it, test/long/misfeed.ts all of it.
import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { compile } from '../../controller/compile/compile.ts'
import type { CompileResult, CompileSettings } from '../../controller/compile/compile-types.ts'
import { lastGoodFor } from '../../controller/compile/last-good.ts'
import { createConsoleWriter } from '../../controller/report/console-writer.ts'
import { holdsAt, StatusBook } from '../../controller/report/status-book.ts'
import { createFileSource } from '../../controller/sources/file/file-source.ts'
import { type Issue, MAX_MESSAGE, REASONS } from '../../model/issue.ts'
import type { ResourceSet } from '../../model/resources.ts'
import { POLICIES } from '../../policies/index.ts'

/** Settings as standalone has them. */
export const SETTINGS: CompileSettings = {
  digest: (text) => createHash('sha256').update(text).digest('hex'),
  policies: POLICIES,
  allowEndpoints: [],
  ownAddresses: [],
}

const NEIGHBOUR = `apiVersion: atrium.dev/v1alpha1
kind: Tenant
metadata: { name: neighbour }
spec: { namespaces: [neighbour-ns], hostnames: [neighbour.invalid] }
---
apiVersion: atrium.dev/v1alpha1
kind: Route
metadata: { namespace: neighbour-ns, name: neighbour }
spec:
  hostnames: [neighbour.invalid]
  rules: [{ backendRefs: [{ name: web, port: 80 }] }]
---
apiVersion: v1
kind: Service
metadata: { namespace: neighbour-ns, name: web }
spec: { ports: [{ port: 80 }] }
`

/** What came of one feeding. */
export interface Fed {
  /** Issues and problems that are not about the neighbour. */
  readonly complaints: number
  readonly issues: readonly Issue[]
}

/** A folder with a neighbour in it that nothing may touch, and a place for the case. */
export class Feeder {
  readonly #folder = mkdtempSync(join(tmpdir(), 'atrium-misfeed-'))
  #neighbourHash: string | undefined
  #base: { readonly resources: ResourceSet; readonly result: CompileResult } | undefined

  constructor() {
    writeFileSync(join(this.#folder, 'a-neighbour.yaml'), NEIGHBOUR)
  }

  /** Makes a text the one that holds before the cases: last good forms and the memo come from it. */
  async setBase(text: string): Promise<void> {
    this.#base = undefined
    await this.feed(text)
    const { resources, result } = await this.#compile(text)
    this.#base = { resources, result }
  }

  /** Feeds a text. @throws Error where anything is not as it must be: that is the finding. */
  async feed(text: string): Promise<Fed> {
    const { source, resources, result } = await this.#compile(text)
    const { problems } = source.read()
    for (const { position, message } of problems) {
      if (position === undefined) throw new Error(`a problem without a place: ${message}`)
      checkWords(message)
    }
    const issues = result.issues.filter((issue) => issue.object.name !== 'neighbour' && holdsAt(issue, Date.now()))
    for (const issue of issues) checkIssue(issue, source.locate(issue.object, issue.path), text)
    const hash = result.snapshot.shards.get('neighbour')?.hash
    if (hash === undefined || (this.#neighbourHash ?? hash) !== hash) throw new Error('the neighbour was touched')
    this.#neighbourHash = hash
    const statuses = new StatusBook().update({
      partitions: resources.partitions,
      result,
      sourceIssues: problems.flatMap((problem) => problem.issue ?? []),
      acknowledgements: [],
      now: Date.now(),
    })
    const lines: string[] = []
    createConsoleWriter({
      write: (line) => lines.push(line),
      format: 'text',
      locate: (object, path) => source.locate(object, path),
      now: () => 0,
    }).report({ statuses, problems, notes: source.read().notes ?? [] })
    if (lines.some((line) => /[\u0000-\u001f\u007f-\u009f]/.test(line))) throw new Error('a control byte in a line')
    return { complaints: issues.filter((issue) => !isAboutHealth(issue)).length + problems.length, issues }
  }

  end(): void {
    rmSync(this.#folder, { recursive: true, force: true })
  }

  async #compile(text: string) {
    writeFileSync(join(this.#folder, 'case.yaml'), text)
    const source = createFileSource({ folders: [this.#folder], live: false })
    await source.start(() => undefined)
    const objects = source.read().resources
    const lastGood = lastGoodFor(objects.partitions, this.#base, [])
    const resources: ResourceSet = { ...objects, claims: [], lastGood }
    return { source, resources, result: compile(resources, SETTINGS, this.#base?.result) }
  }
}

// Endpoints that are not there and certificates that end soon say nothing about the text.
function isAboutHealth(issue: Issue): boolean {
  return issue.reason === 'NoReadyEndpoints' || issue.reason === 'CertificateExpiring'
}

function checkIssue(
  issue: Issue,
  position: { readonly file: string; readonly line: number; readonly column: number } | undefined,
  text: string,
): void {
  if (!Object.hasOwn(REASONS, issue.reason)) throw new Error(`no such reason: ${String(issue.reason)}`)
  checkWords(issue.message)
  if (position === undefined)
    throw new Error(`${issue.object.kind} ${issue.object.name}: no place for ${issue.path.join('.')}`)
  const lines = text.split('\n')
  const { file, line, column } = position
  if (
    file.endsWith('case.yaml') &&
    (line < 1 || line > lines.length || column < 1 || column > (lines[line - 1]?.length ?? 0) + 1)
  ) {
    throw new Error(`${line}:${column} is not in the text`)
  }
}

function checkWords(message: string): void {
  if (message.trim() === '' || message.length > MAX_MESSAGE)
    throw new Error(`not a message: ${JSON.stringify(message.slice(0, 80))}`)
}

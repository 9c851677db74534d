// `atrium explain`: where a request would go, and why: from a folder, or from a running gateway. Sends nothing.
import type { Command } from 'commander'
import type { ExplainQuery, Explanation } from '../../dataplane/explain-types.ts'
import { addServerFlags, type ServerFlags } from '../cluster/flags.ts'
import { EXIT_CODES, usageFailure } from '../exit.ts'
import type { Expectations } from '../explain/expectations.ts'
import {
  addCommonFlags,
  allowEndpointsFlag,
  cidr,
  collect,
  type CommonFlags,
  configFlag,
  flag,
  headerField,
  wholeNumber,
} from '../options.ts'
import type { Terminal } from '../terminal.ts'
import { onRun } from './command.ts'

interface ExplainFlags extends CommonFlags, ServerFlags {
  readonly config?: readonly string[]
  readonly allowEndpoints?: readonly string[]
  readonly trustForwarded?: readonly string[]
  readonly url?: string
  readonly method: string
  readonly header?: readonly { readonly name: string; readonly value: string }[]
  readonly clientIp?: string
  readonly sni?: string
  readonly clientCertificate: 'valid' | 'none'
  readonly bodyLength?: number
  readonly expect?: readonly string[]
  readonly file?: string
}

/** Asks one question. */
type Ask = (query: ExplainQuery) => Promise<Explanation>

interface Question {
  readonly place: string
  readonly query: ExplainQuery
  readonly expect: Expectations
}

const LARGEST_BODY = 999_999_999

/** Adds the verb to the program. */
export function addExplain(program: Command): void {
  const command = program
    .command('explain')
    .summary('where a request would go, and why')
    .description(
      'Takes a request through TLS, host, route, limits, policies and backends as the gateway would, and says what it ' +
        'decides and why: from folders (--config), from a gateway on this machine (--server http://…), or from the ' +
        "controller's API of a cluster. With -f it asks a file of requests and checks what the file expects: a routing test.",
    )
    .addOption(configFlag())
    .addOption(allowEndpointsFlag())
    .addOption(
      flag('--trust-forwarded <cidr>', 'proxies whose X-Forwarded-* are believed; repeatable').argParser(collect(cidr)),
    )
    .optionsGroup('Request:')
    .addOption(flag('--url <url>', 'what is asked for: https://shop.acme.example.com/api/x'))
    .addOption(flag('--method <method>', 'request method').default('GET'))
    .addOption(
      flag('-H, --header <field>', "a header as 'name: value'; repeatable").argParser(
        (text: string, before: readonly unknown[] | undefined) => [...(before ?? []), headerField(text)],
      ),
    )
    .addOption(flag('--client-ip <address>', 'the other end of the connection').default(undefined, '127.0.0.1'))
    .addOption(flag('--sni <name>', "TLS name (default: the URL's host)"))
    .addOption(
      flag('--client-certificate <which>', 'what the client shows').choices(['valid', 'none']).default('valid'),
    )
    .addOption(flag('--body-length <bytes>', 'size of a request body').argParser(wholeNumber(0, LARGEST_BODY)))
    .optionsGroup('Checks:')
    .addOption(
      flag('--expect <what=value>', 'exit 1 unless it holds: route=shop/api, status=403, backend=api …').argParser(
        collect((text) => text),
      ),
    )
    .addOption(flag('-f, --file <file>', 'requests and what is expected of each, as YAML'))
  addServerFlags(command)
  addCommonFlags(command, ['table', 'json', 'yaml', 'jsonl'])
  onRun<ExplainFlags>(command, runExplain)
}

async function runExplain(flags: ExplainFlags, terminal: Terminal): Promise<number> {
  const questions = await questionsOf(flags)
  const { ask, close } = await askerOf(flags)
  const { unmet, unmetText } = await import('../explain/expectations.ts')
  const answers: { question: Question; explanation: Explanation; unmet: readonly string[] }[] = []
  try {
    for (const question of questions) {
      const explanation = await ask(question.query)
      answers.push({ question, explanation, unmet: unmet(explanation, question.expect).map(unmetText) })
    }
  } finally {
    close()
  }
  const format = flags.output ?? 'table'
  if (format === 'table') {
    const { renderExplanation } = await import('../../dataplane/explain-text.ts')
    if (flags.file === undefined) {
      const heading = flags.config === undefined ? 'live' : 'offline'
      for (const { explanation } of answers) {
        terminal.print(renderExplanation(explanation, heading, terminal.columns))
      }
    } else for (const answer of answers) printCase(answer, terminal)
  } else {
    const documents = await import('../output/documents.ts')
    const items = answers.map(({ explanation, unmet: missed }) => ({ ...explanation, unmet: missed }))
    if (format === 'jsonl') terminal.print(documents.jsonLines(items))
    else {
      const document = { kind: 'Explanation', items, warnings: [] }
      terminal.print(format === 'json' ? documents.jsonDocument(document) : documents.yamlDocument(document))
    }
  }
  const missed = answers.filter((answer) => answer.unmet.length > 0)
  if (flags.file === undefined || format !== 'table') {
    for (const { question, unmet: texts } of missed) {
      for (const text of texts)
        terminal.complain(`${question.place === '' ? 'atrium explain' : question.place}: ${text}`)
    }
  }
  if (flags.file !== undefined) {
    terminal.note(`${answers.length - missed.length} of ${answers.length} requests go where they are expected`)
  }
  return missed.length > 0 ? EXIT_CODES.no : EXIT_CODES.done
}

function printCase(
  { question, explanation, unmet: missed }: { question: Question; explanation: Explanation; unmet: readonly string[] },
  terminal: Terminal,
): void {
  const mark = missed.length === 0 ? terminal.paint('green', 'ok') : terminal.paint('red', 'no')
  terminal.print(`${mark}  ${explanation.request.method} ${explanation.request.url}`)
  terminal.print(`    ${explanation.result}`)
  for (const text of missed) terminal.print(`    ${question.place}: ${text}`)
}

async function questionsOf(flags: ExplainFlags): Promise<readonly Question[]> {
  if ((flags.url === undefined) === (flags.file === undefined)) throw usageFailure('Give either --url URL or -f FILE.')
  const { parseExpectation, EXPECTABLE } = await import('../explain/expectations.ts')
  if (flags.file !== undefined) {
    if (flags.expect !== undefined) throw usageFailure('With -f the file says what is expected.')
    const { readCases } = await import('../explain/cases.ts')
    return readCases(flags.file)
  }
  const pairs = (flags.expect ?? []).map((text): [string, string] => {
    const pair = parseExpectation(text)
    if (pair === undefined)
      throw usageFailure(`--expect takes KEY=VALUE, KEY one of ${EXPECTABLE.join(', ')}; not ${text}.`)
    return [pair.what, pair.wanted]
  })
  const url = flags.url ?? ''
  if (!/^https?:\/\//.test(url)) throw usageFailure(`--url begins with http:// or https://; ${url} does not.`)
  const query: ExplainQuery = {
    url,
    method: flags.method,
    headers: (flags.header ?? []).map(({ name, value }): [string, string] => [name, value]),
    clientCertificate: flags.clientCertificate,
    ...(flags.clientIp === undefined ? {} : { clientAddress: flags.clientIp }),
    ...(flags.sni === undefined ? {} : { sni: flags.sni }),
    ...(flags.bodyLength === undefined ? {} : { bodyLength: flags.bodyLength }),
  }
  return [{ place: '', query, expect: Object.fromEntries(pairs) }]
}

async function askerOf(flags: ExplainFlags): Promise<{ readonly ask: Ask; close(): void }> {
  const { config, server, timeout } = flags
  if (config !== undefined) {
    if (server !== undefined) throw usageFailure('Give either --config DIR or --server URL.')
    const { loadFolders } = await import('../load.ts')
    const { createOfflineExplain } = await import('../explain/offline.ts')
    const loaded = await loadFolders(config, flags.allowEndpoints ?? [])
    const ask = createOfflineExplain(loaded, {
      trustForwarded: flags.trustForwarded ?? [],
      hasDefaultCertificate: false,
      httpsPort: 443,
    })
    return { ask, close: () => undefined }
  }
  // The admin listener of a gateway on this machine speaks plain HTTP and asks for nothing.
  if (server?.startsWith('http://') === true) {
    const { askServer } = await import('../explain/server.ts')
    return { ask: (query) => askServer(server, query, timeout), close: () => undefined }
  }
  const { openSession } = await import('../cluster/session.ts')
  const session = await openSession(flags)
  return {
    ask: async (query) => (await session.json('/api/v1/explain', query)) as Explanation,
    close: () => session.close(),
  }
}

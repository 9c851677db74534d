// Explain by a running gateway: asks /explain of its admin listener. Says what kind of failure it is by the exit code.
import type { ExplainQuery, Explanation } from '../../dataplane/explain-types.ts'
import { CommandFailure, EXIT_CODES, usageFailure } from '../exit.ts'

/** Asks the gateway at `server` (its admin address). Fails with 3 where it does not answer, 4 where it may not. */
export async function askServer(server: string, query: ExplainQuery, timeoutMs: number): Promise<Explanation> {
  if (!/^https?:\/\//.test(server))
    throw usageFailure(`--server is an address such as http://127.0.0.1:9901; ${server} is none.`)
  const response = await fetch(new URL('/explain', server), {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(query),
    signal: AbortSignal.timeout(timeoutMs),
  }).catch((error: unknown) => {
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error
    const why = cause instanceof Error ? cause.message || cause.name : String(cause)
    throw new CommandFailure(EXIT_CODES.unreachable, `${server} does not answer: ${why}`)
  })
  if (response.status === 401 || response.status === 403) {
    throw new CommandFailure(EXIT_CODES.notAllowed, `${server} does not let you ask (${response.status})`)
  }
  const answer = await response.text()
  if (!response.ok)
    throw new CommandFailure(EXIT_CODES.unreachable, `${server} answered ${response.status}: ${answer.slice(0, 200)}`)
  const explanation: Explanation = JSON.parse(answer)
  return explanation
}

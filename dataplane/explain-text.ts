// Explain, drawn for people: numbered stages from top to bottom, what was decided, and where it is written. Pure.
// The command line prints it; every word is in the JSON too.
import { formatDuration } from '../model/quantity.ts'
import { percent } from './explain.ts'
import type { ExplainedEndpoint, Explanation } from './explain-types.ts'

/** Width of the column before the origins. */
const MIDDLE = 62
/** Matches that do not hold are shown up to this number. */
const MOST_MISSES = 8

type Line = readonly [text: string, origin?: string]

interface Stage {
  readonly title: string
  readonly lines: readonly Line[]
}

/** The whole text, without a line break at the end. */
export function renderExplanation(explanation: Explanation, heading = 'offline'): string {
  const { request, snapshot, unknown, result } = explanation
  const stages = stagesOf(explanation)
  const lines = [
    padded(`${request.method} ${request.url}`, `${heading}, snapshot ${snapshot.slice(0, 7)}`),
    '',
    ...stages.flatMap(({ title, lines: own }, index) =>
      own.map(([text, origin], row) => {
        const label = row === 0 ? `${String(index + 1).padStart(2)} ${title.padEnd(9)}` : ' '.repeat(12)
        return padded(`${label} ${text}`.trimEnd(), origin ?? '')
      }),
    ),
    '',
    `Result   ${result}`,
    ...unknown.map((text, index) => `${index === 0 ? 'Unknown' : '       '}  ${text}`),
  ]
  return lines.map((line) => line.trimEnd()).join('\n')
}

function stagesOf(explanation: Explanation): readonly Stage[] {
  const { tls, host, tenant, route, upstream, location } = explanation
  const stages: Stage[] = [
    { title: 'TLS', lines: tls === null ? [] : [[tls.text]] },
    {
      title: 'Host',
      lines:
        host === null || tenant === null ? [] : [[`${hostText(explanation)} -> tenant ${tenant}`, `Tenant ${tenant}`]],
    },
    {
      title: 'Route',
      lines:
        route === null && explanation.candidates.length === 0
          ? []
          : [
              route === null
                ? ['none']
                : ([
                    `${route.namespace}/${route.name}, rule ${route.ruleName === '' ? route.rule : route.ruleName}`,
                    route.origin,
                  ] as const),
              ...candidateLines(explanation),
            ],
    },
    {
      title: 'Limits',
      lines: explanation.limits.map(({ name, rule, key, origin }) => [
        `${name.padEnd(14)} ${rule}${key === '' ? '' : `   by ${key}`}`,
        origin,
      ]),
    },
    { title: 'Steps', lines: stepLines(explanation) },
    { title: 'Backend', lines: backendLines(explanation) },
    {
      title: 'Sent',
      lines:
        upstream === null
          ? []
          : [
              [
                [
                  `${upstream.method} ${upstream.target}`,
                  `Host ${upstream.host}`,
                  ...upstream.changes,
                  `timeout ${formatDuration(upstream.timeouts.backendRequest)}, ${upstream.retries} retries`,
                ].join('   '),
              ],
            ],
    },
    { title: 'Location', lines: location === null ? [] : [[location]] },
  ]
  return stages.filter(({ lines }) => lines.length > 0)
}

function hostText({ host, request }: Explanation): string {
  const asked = request.canonical?.host ?? ''
  return host === asked ? asked : `${asked}, as ${host},`
}

function candidateLines({ candidates }: Explanation): readonly Line[] {
  const misses = candidates.filter((candidate) => !candidate.matched)
  const shown = new Set(misses.slice(0, MOST_MISSES))
  const lines = candidates
    .filter((candidate) => candidate.matched || shown.has(candidate))
    .map(({ rule, matched, why }): Line => [`${rule.padEnd(24)} ${matched ? 'matches' : 'no     '}   ${why}`])
  const more = misses.length - shown.size
  return more === 0 ? lines : [...lines, [`and ${more} more that do not match`]]
}

function stepLines({ steps }: Explanation): readonly Line[] {
  return steps.flatMap(({ policy, summary, origin, overridden, wouldPass }): Line[] => {
    const verdict = wouldPass === null ? 'not asked' : wouldPass ? 'would pass' : 'would be refused'
    return [
      [`${policy.padEnd(14)} ${summary}: ${verdict}`, origin],
      ...overridden.map((text): Line => [`not used: ${text}`]),
    ]
  })
}

function backendLines({ backends, upstream }: Explanation): readonly Line[] {
  if (backends.length === 0) return []
  const shares = backends.map(({ service, share }) => `${service.name}:${service.port} ${percent(share)}`).join(', ')
  return [
    [upstream === null ? shares : `${shares}    ${upstream.balance}`],
    ...backends.map(({ service, endpoints }): Line => [`${service.name.padEnd(12)} ${endpointsText(endpoints)}`]),
  ]
}

function endpointsText(endpoints: readonly ExplainedEndpoint[]): string {
  if (endpoints.length === 0) return 'no endpoint: its share is answered 503'
  const shown = endpoints.slice(0, 8).map(({ address, port, state }) => {
    return `${address.includes(':') ? `[${address}]` : address}:${port} ${state}`
  })
  return [...shown, ...(endpoints.length > 8 ? [`and ${endpoints.length - 8} more`] : [])].join(', ')
}

function padded(text: string, origin: string): string {
  return origin === '' ? text : `${text.padEnd(MIDDLE)}  ${origin}`
}

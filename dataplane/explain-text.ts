// Explain, drawn for people: numbered stages from top to bottom, what was decided, and where it is written. Pure.
// The command line prints it; every word is in the JSON too.
import { formatDuration } from '../model/quantity.ts'
import { percent } from './explain.ts'
import type { ExplainedEndpoint, Explanation } from './explain-types.ts'

/** Width of the column before the origins, where they leave room for it. */
const MIDDLE = 62
/** The least that is left for what is said. */
const LEAST_MIDDLE = 44
const LABEL = 13
/** A second line that begins further to the right would be a column of single words. */
const LONGEST_HANG = 40
const DEFAULT_WIDTH = 80
/** Matches that do not hold are shown up to this number. */
const MOST_MISSES = 8

/** What is said, where it is written, and how far a second line of it is moved in. */
type Line = readonly [text: string, origin?: string, hang?: number]

interface Stage {
  readonly title: string
  readonly lines: readonly Line[]
}

/** The whole text, without a line break at the end; no wider than `width` where words allow it. */
export function renderExplanation(explanation: Explanation, heading = 'offline', width = DEFAULT_WIDTH): string {
  const { request, snapshot, unknown, result } = explanation
  const stages = stagesOf(explanation)
  const longest = Math.max(0, ...stages.flatMap(({ lines }) => lines.map(([, origin = '']) => origin.length)))
  const middle = Math.max(LEAST_MIDDLE, Math.min(MIDDLE, width - longest - 2))
  const put = (text: string, origin: string, hang: number) => placed(text, origin, { width, middle, hang })
  const lines = [
    ...put(`${request.method} ${request.url}`, `${heading}, snapshot ${snapshot.slice(0, 7)}`, 2),
    ...(stages.length === 0 ? [] : ['']),
    ...stages.flatMap(({ title, lines: own }, index) =>
      own.flatMap(([text, origin = '', hang = 0], row) => {
        const label = row === 0 ? `${String(index + 1).padStart(2)} ${title.padEnd(9)}` : ' '.repeat(LABEL - 1)
        return put(`${label} ${text}`.trimEnd(), origin, LABEL + hang)
      }),
    ),
    '',
    ...put(`Result   ${result}`, '', 9),
    ...unknown.flatMap((text, index) => put(`${index === 0 ? 'Unknown' : '       '}  ${text}`, '', 9)),
  ]
  return lines.map((line) => line.trimEnd()).join('\n')
}

function stagesOf(explanation: Explanation): readonly Stage[] {
  const { tls, route, upstream, location } = explanation
  const chosen = explanation.candidates.find((candidate) => candidate.chosen)
  const stages: Stage[] = [
    { title: 'TLS', lines: tls === null ? [] : [[tls.text]] },
    {
      title: 'Host',
      lines: hostLines(explanation),
    },
    {
      title: 'Route',
      lines:
        route === null && explanation.candidates.length === 0
          ? []
          : [
              route === null
                ? [chosen === undefined ? 'none' : `${chosen.rule}, but it is not asked: see below`]
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
        15,
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

function hostLines({ host, tenant, request }: Explanation): readonly Line[] {
  const asked = request.canonical?.host
  if (asked === undefined) return []
  if (host === null || tenant === null) return [[`${asked} -> no tenant`]]
  return [[`${host === asked ? asked : `${asked}, as ${host},`} -> tenant ${tenant}`, `Tenant ${tenant}`]]
}

function candidateLines({ candidates, route }: Explanation): readonly Line[] {
  const misses = candidates.filter((candidate) => !candidate.matched)
  const shown = new Set(misses.slice(0, MOST_MISSES))
  const told = candidates.filter((candidate) => candidate.matched || shown.has(candidate))
  // The line above names the namespace; where all are of that one it would only push the reasons out.
  const prefix = `${route?.namespace ?? ''}/`
  const isShort = prefix !== '/' && told.every(({ rule }) => rule.startsWith(prefix))
  const names = told.map(({ rule }) => (isShort ? rule.slice(prefix.length) : rule))
  const longest = Math.max(0, ...names.map((name) => name.length))
  const lines = told.map(({ matched, why }, index): Line => {
    const begin = `${(names[index] ?? '').padEnd(longest)}  ${matched ? 'matches' : 'no     '}  `
    return [`${begin}${why}`, '', begin.length > LONGEST_HANG ? 2 : begin.length]
  })
  const more = misses.length - shown.size
  return more === 0 ? lines : [...lines, [`and ${more} more that do not match`]]
}

function stepLines({ steps }: Explanation): readonly Line[] {
  return steps.flatMap(({ policy, summary, origin, overridden, wouldPass }): Line[] => {
    const verdict = wouldPass === null ? 'not asked' : wouldPass ? 'would pass' : 'would be refused'
    return [
      [`${policy.padEnd(14)} ${summary}: ${verdict}`, origin, 15],
      ...overridden.map((text): Line => [`not used: ${text}`]),
    ]
  })
}

function backendLines({ backends, upstream }: Explanation): readonly Line[] {
  if (backends.length === 0) return []
  const shares = backends.map(({ service, share }) => `${service.name}:${service.port} ${percent(share)}`).join(', ')
  return [
    [upstream === null ? shares : `${shares}    ${upstream.balance}`],
    ...backends.map(
      ({ service, endpoints }): Line => [`${service.name.padEnd(12)} ${endpointsText(endpoints)}`, '', 13],
    ),
  ]
}

function endpointsText(endpoints: readonly ExplainedEndpoint[]): string {
  if (endpoints.length === 0) return 'no endpoint: its share is answered 503'
  const shown = endpoints.slice(0, 8).map(({ address, port, state }) => {
    return `${address.includes(':') ? `[${address}]` : address}:${port} ${state}`
  })
  return [...shown, ...(endpoints.length > 8 ? [`and ${endpoints.length - 8} more`] : [])].join(', ')
}

/** A text with its origin to the right; the origin goes to the end of the line, or to a line of its own, where it must. */
function placed(
  text: string,
  origin: string,
  { width, middle, hang }: { readonly width: number; readonly middle: number; readonly hang: number },
): string[] {
  const lines = wrapped(text, width, hang)
  if (origin === '') return lines
  const last = lines.pop() ?? ''
  if (last.length <= middle && middle + 2 + origin.length <= width) {
    return [...lines, `${last.padEnd(middle)}  ${origin}`]
  }
  if (last.length + 2 + origin.length <= width) return [...lines, `${last.padEnd(width - origin.length)}${origin}`]
  return [...lines, last, `${' '.repeat(Math.max(hang, width - origin.length))}${origin}`]
}

/** Broken between words; blanks inside a line stay as they are. */
function wrapped(text: string, width: number, hang: number): string[] {
  const lines: string[] = []
  let rest = text
  while (rest.length > width) {
    const from = lines.length === 0 ? hang : hang + 1
    const gap = rest.lastIndexOf('   ', width)
    const before = gap > width / 2 ? gap : rest.lastIndexOf(' ', width)
    const at = before > from ? before : rest.indexOf(' ', width)
    if (at === -1) break
    lines.push(rest.slice(0, at))
    rest = `${' '.repeat(hang)}${rest.slice(at).trimStart()}`
  }
  return [...lines, rest]
}

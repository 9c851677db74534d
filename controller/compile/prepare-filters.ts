// The filters of one rule, in the Gateway API's meaning: at most one of each kind, no rewrite beside a redirect, no
// header that the gateway owns. Pure. prepare-route calls it for every rule.
import type { FieldProblem } from '../../model/decode.ts'
import { filledStatusCode } from '../../model/defaults.ts'
import type { FieldPath } from '../../model/issue.ts'
import type { RouteFilter, RouteRule } from '../../model/route.ts'
import type { HeaderPlan, PathChange, RedirectPlan, RewritePlan } from '../../model/snapshot.ts'
import { fieldProblem } from './field-problem.ts'
import type { PreparedFilters, PreparedMatch } from './prepared.ts'

/** Hop-by-hop fields (RFC 9110 section 7.6.1), framing, routing, and what the gateway itself tells the backend. */
const OWNED_HEADERS: ReadonlySet<string> = new Set([
  'connection',
  'content-length',
  'expect',
  'forwarded',
  'host',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
])
const OWNED_PREFIXES = ['x-atrium-', 'x-forwarded-'] as const

/** Merges the filters of a rule; what is wrong goes to `problems`. `path` is that of the rule. */
export function prepareFilters(
  rule: RouteRule,
  matches: readonly PreparedMatch[],
  path: FieldPath,
  problems: FieldProblem[],
): PreparedFilters {
  let rewrite: RewritePlan | null = null
  let redirect: RedirectPlan | null = null
  let requestHeaders: HeaderPlan | null = null
  let responseHeaders: HeaderPlan | null = null
  const seen = new Set<RouteFilter['type']>()
  for (const [index, filter] of (rule.filters ?? []).entries()) {
    const at = [...path, 'filters', index]
    if (seen.has(filter.type)) {
      problems.push(fieldProblem(at, `is a second ${filter.type}; a rule has at most one.`))
    }
    seen.add(filter.type)
    if (filter.urlRewrite !== undefined) {
      const { hostname = null, path: change } = filter.urlRewrite
      rewrite = { hostname, path: pathChange(change, matches, [...at, 'urlRewrite', 'path'], problems) }
    }
    if (filter.requestRedirect !== undefined) {
      const { scheme = null, hostname = null, port = null, path: change } = filter.requestRedirect
      const changed = pathChange(change, matches, [...at, 'requestRedirect', 'path'], problems)
      const statusCode = filledStatusCode(filter.requestRedirect.statusCode)
      redirect = { scheme, hostname, path: changed, port, statusCode }
    }
    if (filter.requestHeaderModifier !== undefined) {
      requestHeaders = headerPlan(filter.requestHeaderModifier, [...at, 'requestHeaderModifier'], problems)
    }
    if (filter.responseHeaderModifier !== undefined) {
      responseHeaders = headerPlan(filter.responseHeaderModifier, [...at, 'responseHeaderModifier'], problems)
    }
  }
  if (redirect !== null && rewrite !== null) {
    problems.push(fieldProblem([...path, 'filters'], 'has URLRewrite beside RequestRedirect; a rule has one of them.'))
  }
  if (redirect !== null && (rule.backendRefs ?? []).length > 0) {
    problems.push(
      fieldProblem([...path, 'backendRefs'], 'stands beside RequestRedirect, which never reaches a backend.'),
    )
  }
  return { rewrite, redirect, requestHeaders, responseHeaders }
}

type PathModifier = NonNullable<NonNullable<RouteFilter['urlRewrite']>['path']>

function pathChange(
  change: PathModifier | undefined,
  matches: readonly PreparedMatch[],
  path: FieldPath,
  problems: FieldProblem[],
): PathChange | null {
  if (change === undefined) return null
  if (change.type === 'ReplaceFullPath') return { type: change.type, value: change.replaceFullPath ?? '/' }
  if (matches.some((match) => match.path.type !== 'PathPrefix')) {
    problems.push(
      fieldProblem([...path, 'type'], 'is ReplacePrefixMatch, which needs PathPrefix in every match of the rule.'),
    )
  }
  return { type: change.type, value: change.replacePrefixMatch ?? '/' }
}

type HeaderModifier = NonNullable<RouteFilter['requestHeaderModifier']>

function headerPlan(modifier: HeaderModifier, path: FieldPath, problems: FieldProblem[]): HeaderPlan {
  const { set = [], add = [], remove = [] } = modifier
  const seen = new Set<string>()
  const check = (name: string, at: FieldPath) => {
    const lower = name.toLowerCase()
    if (OWNED_HEADERS.has(lower) || OWNED_PREFIXES.some((prefix) => lower.startsWith(prefix))) {
      problems.push(fieldProblem(at, `names ${name}, which belongs to the gateway and cannot be changed.`))
    } else if (seen.has(lower)) {
      problems.push(fieldProblem(at, `names ${name} again; one filter changes a header in one way.`))
    }
    seen.add(lower)
  }
  set.forEach((header, index) => {
    check(header.name, [...path, 'set', index, 'name'])
  })
  add.forEach((header, index) => {
    check(header.name, [...path, 'add', index, 'name'])
  })
  remove.forEach((name, index) => {
    check(name, [...path, 'remove', index])
  })
  return {
    set: set.map(({ name, value }) => ({ name, value })),
    add: add.map(({ name, value }) => ({ name, value })),
    remove: remove.map((name) => name.toLowerCase()),
  }
}

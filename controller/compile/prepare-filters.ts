// The filters of one rule, in the Gateway API's meaning. Pure. prepare-route calls it for every rule. The schema has seen
// to it that there is at most one of each kind, no rewrite or backend beside a redirect, a prefix where one is replaced,
// and no header that the gateway owns; what is left is what a schema cannot say of header names.
import type { FieldProblem } from '../../model/decode.ts'
import { filledStatusCode } from '../../model/defaults.ts'
import type { FieldPath } from '../../model/issue.ts'
import type { RouteFilter, RouteRule } from '../../model/route.ts'
import type { HeaderPlan, PathChange } from '../../model/snapshot.ts'
import { fieldProblem } from './field-problem.ts'
import type { PreparedFilters } from './prepared.ts'

/** Merges the filters of a rule; what is wrong goes to `problems`. `path` is that of the rule. */
export function prepareFilters(rule: RouteRule, path: FieldPath, problems: FieldProblem[]): PreparedFilters {
  let { rewrite, redirect, requestHeaders, responseHeaders }: PreparedFilters = NO_FILTERS
  for (const [index, filter] of (rule.filters ?? []).entries()) {
    const at = [...path, 'filters', index]
    if (filter.urlRewrite !== undefined) {
      const { hostname = null, path: change } = filter.urlRewrite
      rewrite = { hostname, path: pathChange(change) }
    }
    if (filter.requestRedirect !== undefined) {
      const { scheme = null, hostname = null, port = null, path: change, statusCode } = filter.requestRedirect
      redirect = { scheme, hostname, path: pathChange(change), port, statusCode: filledStatusCode(statusCode) }
    }
    if (filter.requestHeaderModifier !== undefined) {
      requestHeaders = headerPlan(filter.requestHeaderModifier, [...at, 'requestHeaderModifier'], problems)
    }
    if (filter.responseHeaderModifier !== undefined) {
      responseHeaders = headerPlan(filter.responseHeaderModifier, [...at, 'responseHeaderModifier'], problems)
    }
  }
  return { rewrite, redirect, requestHeaders, responseHeaders }
}

const NO_FILTERS: PreparedFilters = { rewrite: null, redirect: null, requestHeaders: null, responseHeaders: null }

type PathModifier = NonNullable<NonNullable<RouteFilter['urlRewrite']>['path']>

function pathChange(change: PathModifier | undefined): PathChange | null {
  if (change === undefined) return null
  if (change.type === 'ReplaceFullPath') return { type: change.type, value: change.replaceFullPath ?? '/' }
  return { type: change.type, value: change.replacePrefixMatch ?? '/' }
}

type HeaderModifier = NonNullable<RouteFilter['requestHeaderModifier']>

function headerPlan(modifier: HeaderModifier, path: FieldPath, problems: FieldProblem[]): HeaderPlan {
  const { set = [], add = [], remove = [] } = modifier
  const seen = new Set<string>()
  const check = (name: string, at: FieldPath) => {
    const lower = name.toLowerCase()
    if (seen.has(lower)) {
      problems.push(fieldProblem(at, `names ${name} again; one filter changes a header in one way.`))
    }
    seen.add(lower)
  }
  for (const [index, { name }] of set.entries()) check(name, [...path, 'set', index, 'name'])
  for (const [index, { name }] of add.entries()) check(name, [...path, 'add', index, 'name'])
  for (const [index, name] of remove.entries()) check(name, [...path, 'remove', index])
  return {
    set: set.map(({ name, value }) => ({ name, value })),
    add: add.map(({ name, value }) => ({ name, value })),
    remove: remove.map((name) => name.toLowerCase()),
  }
}

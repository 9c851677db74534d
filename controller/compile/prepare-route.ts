// One Route by itself: defaults filled in, patterns tried, filters merged, everything checked that needs no other object.
// Pure. index-objects calls it once for each form of a Route; plan-routes only combines what it made.
import { compareText } from '../../model/canonical.ts'
import type { FieldProblem } from '../../model/decode.ts'
import { filledMatches, filledPath, filledSettings, filledValueType } from '../../model/defaults.ts'
import type { FieldPath } from '../../model/issue.ts'
import type { RouteMatch, RouteRule, RouteSpec } from '../../model/route.ts'
import type { MatchPlan, ValueMatchPlan } from '../../model/snapshot.ts'
import { canonicalPath, comparablePath } from '../../model/target.ts'
import { fieldProblem } from './field-problem.ts'
import { PatternJudge } from './judge-pattern.ts'
import { prepareFilters } from './prepare-filters.ts'
import type { Prepared, PreparedMatch, PreparedRoute, PreparedRule } from './prepared.ts'

/** Prepares a decoded Route, or says what is wrong with it. */
export function prepareRoute(spec: RouteSpec): Prepared<PreparedRoute> {
  const problems: FieldProblem[] = []
  const patterns = new PatternJudge(problems)
  const rules = (spec.rules ?? []).map((rule, index) => prepareRule(rule, ['spec', 'rules', index], problems, patterns))
  if (problems.length > 0) return { ok: false, problems }
  return {
    ok: true,
    value: { hostnames: spec.hostnames ?? [], requires: spec.requires ?? [], tls: spec.tls, rules },
  }
}

function prepareRule(rule: RouteRule, path: FieldPath, problems: FieldProblem[], patterns: PatternJudge): PreparedRule {
  const matches = filledMatches(rule.matches).map((match, index) =>
    prepareMatch(match, [...path, 'matches', index], problems, patterns),
  )
  return {
    name: rule.name ?? '',
    matches,
    backendRefs: rule.backendRefs ?? [],
    ...prepareFilters(rule, path, problems),
    settings: filledSettings(rule),
  }
}

function prepareMatch(
  match: RouteMatch,
  path: FieldPath,
  problems: FieldProblem[],
  patterns: PatternJudge,
): PreparedMatch {
  const headers = (match.headers ?? []).map((header, index) =>
    prepareValue(header, header.name.toLowerCase(), [...path, 'headers', index], patterns),
  )
  const queryParams = (match.queryParams ?? []).map((parameter, index) =>
    prepareValue(parameter, parameter.name, [...path, 'queryParams', index], patterns),
  )
  findRepeatedNames(headers, [...path, 'headers'], problems)
  return {
    path: preparePath(match, [...path, 'path'], problems, patterns),
    method: match.method ?? null,
    headers: headers.sort((a, b) => compareText(a.name, b.name)),
    queryParams: queryParams.sort((a, b) => compareText(a.name, b.name)),
  }
}

function preparePath(
  match: RouteMatch,
  path: FieldPath,
  problems: FieldProblem[],
  patterns: PatternJudge,
): MatchPlan['path'] {
  const { type, value } = filledPath(match.path)
  if (type === 'RegularExpression') {
    patterns.judge(value, [...path, 'value'])
    return { type, value }
  }
  const canonical = canonicalPath(value)
  if (canonical === undefined) {
    problems.push(fieldProblem([...path, 'value'], 'is no path that a request can have.'))
    return { type, value }
  }
  const comparable = comparablePath(canonical)
  // Gateway API, PathMatchPathPrefix: a slash at the end is ignored.
  if (type === 'PathPrefix' && comparable.length > 1 && comparable.endsWith('/')) {
    return { type, value: comparable.slice(0, -1) }
  }
  return { type, value: comparable }
}

function prepareValue(
  written: { readonly type?: 'Exact' | 'RegularExpression'; readonly value: string },
  name: string,
  path: FieldPath,
  patterns: PatternJudge,
): ValueMatchPlan {
  const type = filledValueType(written.type)
  if (type === 'RegularExpression') patterns.judge(written.value, [...path, 'value'])
  return { name, type, value: written.value }
}

/** Header names are compared without case, so the schema does not see that X-A and x-a are one name. */
function findRepeatedNames(values: readonly ValueMatchPlan[], path: FieldPath, problems: FieldProblem[]): void {
  const seen = new Set<string>()
  values.forEach(({ name }, index) => {
    if (seen.has(name))
      problems.push(fieldProblem([...path, index], `repeats the header ${name}; case does not count.`))
    seen.add(name)
  })
}

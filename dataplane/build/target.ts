// What a rule makes of the path: the target for the backend and the Location of a redirect. Pure, prepared at load time.
// The exchange and explain call the functions that are made here; nothing is ever taken from the raw request text.
import type { RequestHead } from '../../model/filter.ts'
import type { GatewayErrorCode } from '../../model/gateway-error.ts'
import type { MatchPlan, PathChange, RedirectPlan } from '../../model/snapshot.ts'
import { canonicalPath, MAX_TARGET_LENGTH } from '../../model/target.ts'

/** From a canonical path to the rewritten one, canonical too; undefined where the result would not be. */
type PathRewrite = (path: string) => string | undefined

const WELL_KNOWN_PORT = { http: 80, https: 443 } as const

/** What passes in a target but may not stand in a URI (RFC 3986 appendix A), so Location has it encoded. */
const NOT_IN_URI = /["<>\\^`{|}[\]]/g

/**
 * The function behind RouteProgram.target: path and query for the backend, as received where the rule rewrites nothing.
 * Throws at load time where the plan cannot be: a replacement that is no path, a prefix to replace without a prefix.
 */
export function createTarget(
  change: PathChange | null,
  match: MatchPlan,
): (request: RequestHead) => string | GatewayErrorCode {
  if (change === null) return (request) => withQuery(request.path, request.query)
  const rewrite = createRewrite(change, match)
  return (request) => {
    const path = rewrite(request.path)
    if (path === undefined) return 'BadRequest'
    const target = withQuery(path, request.query)
    return target.length > MAX_TARGET_LENGTH ? 'UriTooLong' : target
  }
}

/**
 * The function behind RouteProgram.location (Gateway API, HTTPRequestRedirectFilter): scheme and host as configured or
 * as asked for, a port only where it is not the scheme's own, the query kept. `port` is the one that the client sees.
 * It counts where the rule names neither a port nor a scheme. Throws at load time like createTarget.
 */
export function createLocation(
  redirect: RedirectPlan,
  match: MatchPlan,
): (request: RequestHead, port: number) => string {
  const rewrite = redirect.path === null ? undefined : createRewrite(redirect.path, match)
  return (request, port) => {
    const scheme = redirect.scheme ?? request.scheme
    const wanted = redirect.port ?? (redirect.scheme === null ? port : WELL_KNOWN_PORT[redirect.scheme])
    const path = rewrite === undefined ? request.path : (rewrite(request.path) ?? '/')
    return locationOf(scheme, redirect.hostname ?? request.host, wanted, path, request.query)
  }
}

/** The Location of plainHTTP: Redirect: the same request over https, on the port where clients find it. */
export function secureLocation(request: RequestHead, port: number): string {
  return locationOf('https', request.host, port, request.path, request.query)
}

function locationOf(scheme: 'http' | 'https', host: string, port: number, path: string, query: string): string {
  const authority = port === WELL_KNOWN_PORT[scheme] ? host : `${host}:${port}`
  return `${scheme}://${authority}${withQuery(encode(path), encode(query))}`
}

function encode(text: string): string {
  return text.replace(NOT_IN_URI, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`)
}

function withQuery(path: string, query: string): string {
  return query === '' ? path : `${path}?${query}`
}

function createRewrite(change: PathChange, match: MatchPlan): PathRewrite {
  if (change.type === 'ReplaceFullPath') {
    const path = canonicalPath(change.value)
    if (path === undefined) throw new Error(`ReplaceFullPath: ${JSON.stringify(change.value)} is no path`)
    return () => path
  }
  return createPrefixRewrite(change.value, match)
}

/**
 * The Gateway API's table for ReplacePrefixMatch: a slash at the end of the prefix or of the replacement does not
 * count, what followed the prefix stays as it came, and nothing left is `/`.
 */
function createPrefixRewrite(replacement: string, match: MatchPlan): PathRewrite {
  if (match.path.type === 'RegularExpression') throw new Error('ReplacePrefixMatch: a pattern has no prefix')
  const prefix = canonicalPath(match.path.value)
  // A match that no path can have never asks.
  if (prefix === undefined) return () => undefined
  const base = replacement === '' ? '/' : canonicalPath(replacement)
  if (base === undefined) throw new Error(`ReplacePrefixMatch: ${JSON.stringify(replacement)} is no path`)
  const from = withoutSlash(prefix).length
  const to = withoutSlash(base)
  return (path) => {
    const rest = path.slice(from)
    const joined = to + rest
    const rewritten = canonicalPath(joined === '' ? '/' : joined)
    // Normalised again: whatever came behind the prefix must stay behind the replacement.
    if (rewritten === undefined || !rewritten.startsWith(to)) return undefined
    const border = rewritten.charCodeAt(to.length)
    return Number.isNaN(border) || border === 0x2f ? rewritten : undefined
  }
}

function withoutSlash(path: string): string {
  return path.endsWith('/') ? path.slice(0, -1) : path
}

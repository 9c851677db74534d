// Which fields may come after a body (RFC 9110 section 6.5.1). Pure. The parser drops the others from what a backend
// sends, the request writer from what a client sent: a trailer never changes framing, routing, identity or meaning.

const FORBIDDEN: ReadonlySet<string> = new Set([
  // Framing and the connection.
  'connection',
  'content-length',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  // Routing and what a gateway says of the client.
  'forwarded',
  'host',
  'via',
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-port',
  'x-forwarded-proto',
  'x-real-ip',
  // Authentication and state.
  'authorization',
  'cookie',
  'proxy-authenticate',
  'proxy-authorization',
  'set-cookie',
  'www-authenticate',
  // Control data and how the content is to be read.
  'age',
  'cache-control',
  'content-encoding',
  'content-range',
  'content-type',
  'expect',
  'expires',
  'location',
  'max-forwards',
  'range',
  'retry-after',
  'vary',
])

/** The trailers without those that no one may send. Name, value, name, value … in and out. */
export function withoutForbiddenTrailers(fields: readonly string[]): readonly string[] {
  if (fields.length === 0) return fields
  const kept: string[] = []
  for (let index = 0; index < fields.length; index += 2) {
    const name = fields[index] as string
    if (!FORBIDDEN.has(name.toLowerCase())) kept.push(name, fields[index + 1] as string)
  }
  return kept
}

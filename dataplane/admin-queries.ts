// What is asked of explain, out of a query string or a JSON body. Whoever listens for such questions reads them here.
import type { ExplainQuery } from './explain-types.ts'

/** `?url=…&method=…&header=name:value`, header repeated at will. A sentence where it is no question. */
export function readExplainQuery(query: unknown): ExplainQuery | string {
  const { url, method, header, client, sni } = query as Record<string, unknown>
  if (typeof url !== 'string') return 'say which URL: /explain?url=https://shop.example.com/'
  const headers: [string, string][] = []
  for (const field of Array.isArray(header) ? header : header === undefined ? [] : [header]) {
    const colon = typeof field === 'string' ? field.indexOf(':') : -1
    if (typeof field !== 'string' || colon <= 0) return 'write a header as name:value'
    headers.push([field.slice(0, colon), field.slice(colon + 1).trim()])
  }
  return {
    url,
    headers,
    ...(typeof method === 'string' ? { method } : {}),
    ...(typeof client === 'string' ? { clientAddress: client } : {}),
    ...(typeof sni === 'string' ? { sni } : {}),
  }
}

/** The same as a JSON body. A sentence where it is no question. */
export function readExplainBody(body: unknown): ExplainQuery | string {
  if (typeof body !== 'object' || body === null) return 'send the question as a JSON object'
  const { url, method, headers, clientAddress, sni, clientCertificate, bodyLength } = body as Record<string, unknown>
  if (typeof url !== 'string') return 'url is missing'
  if (headers !== undefined && !isFields(headers)) return 'headers is a list of [name, value]'
  if (bodyLength !== undefined && !(typeof bodyLength === 'number' && Number.isSafeInteger(bodyLength))) {
    return 'bodyLength is a number of bytes'
  }
  return {
    url,
    ...(typeof method === 'string' ? { method } : {}),
    ...(headers === undefined ? {} : { headers }),
    ...(typeof clientAddress === 'string' ? { clientAddress } : {}),
    ...(typeof sni === 'string' ? { sni } : {}),
    ...(clientCertificate === 'valid' || clientCertificate === 'none' ? { clientCertificate } : {}),
    ...(bodyLength === undefined ? {} : { bodyLength }),
  }
}

function isFields(value: unknown): value is readonly (readonly [string, string])[] {
  return (
    Array.isArray(value) &&
    value.every(
      (field: unknown) =>
        Array.isArray(field) && field.length === 2 && field.every((part: unknown) => typeof part === 'string'),
    )
  )
}

// What a rule of a Route changes on the way: rewrites, redirects, header fields. Pure. Part of route.ts.
import { ROUTE_DEFAULTS } from './default-values.ts'
import { exactHostname, headerName, headerValue, portNumber } from './fields.ts'
import { pathText, prefixReplacement } from './route-match.ts'
import { integer, list, object, oneOf, optional } from './schema.ts'

/** Fields that decide where a message ends, who reads it, or whose it is: only the gateway writes them. */
const FIXED_HEADERS = [
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
]

const FIXED_PREFIXES = ['x-atrium-', 'x-forwarded-']

function changeableHeader(description: string) {
  return {
    ...headerName(description),
    rules: [
      {
        cel: `!(self.lowerAscii() in [${quoted(FIXED_HEADERS)}]) && ![${quoted(FIXED_PREFIXES)}].exists(p, self.lowerAscii().startsWith(p))`,
        message: `only the gateway writes ${FIXED_HEADERS.join(', ')}, ${FIXED_PREFIXES.map((prefix) => `${prefix}*`).join(' and ')} (URLRewrite.hostname changes Host)`,
        check: (value: string) => !isFixedHeader(value),
        examples: { good: ['x-tenant', 'x-forward'], bad: ['Host', 'transfer-encoding', 'X-Forwarded-For'] },
      },
    ],
  }
}

/** Whether a filter may not change this header. Case does not count. */
function isFixedHeader(name: string): boolean {
  const lower = name.toLowerCase()
  return FIXED_HEADERS.includes(lower) || FIXED_PREFIXES.some((prefix) => lower.startsWith(prefix))
}

function quoted(words: readonly string[]): string {
  return words.map((word) => `'${word}'`).join(', ')
}

const headerModifier = (description: string) =>
  object(
    {
      set: optional(headerList('Headers to replace or add.')),
      add: optional(headerList('Headers to add to those present.')),
      remove: optional(
        list(changeableHeader('Header name.'), { description: 'Headers to remove.', maxItems: 16, listType: 'set' }),
      ),
    },
    { description },
  )

function headerList(description: string) {
  return list(
    object(
      { name: changeableHeader('Header name.'), value: headerValue('Header value.') },
      { description: 'A header.' },
    ),
    { description, maxItems: 16, listType: { mapBy: ['name'] } },
  )
}

const pathModifier = object(
  {
    type: oneOf(['ReplaceFullPath', 'ReplacePrefixMatch'], { description: 'What is replaced.' }),
    replaceFullPath: optional(pathText('The new path.')),
    replacePrefixMatch: optional(prefixReplacement('What stands for the matched prefix.')),
  },
  {
    description: 'A new path.',
    rules: [
      {
        cel: "self.type == 'ReplaceFullPath' ? has(self.replaceFullPath) && !has(self.replacePrefixMatch) : has(self.replacePrefixMatch) && !has(self.replaceFullPath)",
        message: 'name the field that belongs to the type, and only that one',
        check: (value: { type: string; replaceFullPath?: string; replacePrefixMatch?: string }) =>
          value.type === 'ReplaceFullPath'
            ? value.replaceFullPath !== undefined && value.replacePrefixMatch === undefined
            : value.replacePrefixMatch !== undefined && value.replaceFullPath === undefined,
        examples: {
          good: [{ type: 'ReplaceFullPath', replaceFullPath: '/a' }],
          bad: [{ type: 'ReplaceFullPath' }, { type: 'ReplacePrefixMatch', replaceFullPath: '/a' }],
        },
      },
    ],
  },
)

/** One filter of a rule. */
export const filter = object(
  {
    type: oneOf(['URLRewrite', 'RequestRedirect', 'RequestHeaderModifier', 'ResponseHeaderModifier'], {
      description: 'Which filter this is.',
    }),
    urlRewrite: optional(
      object(
        {
          hostname: optional(exactHostname('The Host that the backend sees.')),
          path: optional(pathModifier),
        },
        { description: 'Changes what the backend sees.' },
      ),
    ),
    requestRedirect: optional(
      object(
        {
          scheme: optional(oneOf(['http', 'https'], { description: 'Scheme of the Location.' })),
          hostname: optional(exactHostname('Host of the Location; default: the host asked for.')),
          path: optional(pathModifier),
          port: optional(portNumber('Port of the Location.')),
          statusCode: optional(
            integer({
              description: '301, 302, 303, 307 or 308.',
              minimum: 301,
              maximum: 308,
              default: ROUTE_DEFAULTS.statusCode,
            }),
          ),
        },
        {
          description: 'Answers with a redirect.',
          rules: [
            {
              cel: '!has(self.statusCode) || self.statusCode in [301, 302, 303, 307, 308]',
              message: 'statusCode is one of 301, 302, 303, 307, 308',
              check: (value: { statusCode?: number }) =>
                value.statusCode === undefined || [301, 302, 303, 307, 308].includes(value.statusCode),
              examples: { good: [{ statusCode: 301 }, {}], bad: [{ statusCode: 304 }] },
            },
          ],
        },
      ),
    ),
    requestHeaderModifier: optional(headerModifier('Changes request headers before the backend sees them.')),
    responseHeaderModifier: optional(headerModifier('Changes response headers before the client sees them.')),
  },
  {
    description: 'One step on the way; the meaning is the Gateway API’s.',
    rules: [
      {
        cel: "has(self.urlRewrite) == (self.type == 'URLRewrite') && has(self.requestRedirect) == (self.type == 'RequestRedirect') && has(self.requestHeaderModifier) == (self.type == 'RequestHeaderModifier') && has(self.responseHeaderModifier) == (self.type == 'ResponseHeaderModifier')",
        message: 'name the field that belongs to the type, and only that one',
        check: (value: {
          type: string
          urlRewrite?: unknown
          requestRedirect?: unknown
          requestHeaderModifier?: unknown
          responseHeaderModifier?: unknown
        }) =>
          (value.urlRewrite !== undefined) === (value.type === 'URLRewrite') &&
          (value.requestRedirect !== undefined) === (value.type === 'RequestRedirect') &&
          (value.requestHeaderModifier !== undefined) === (value.type === 'RequestHeaderModifier') &&
          (value.responseHeaderModifier !== undefined) === (value.type === 'ResponseHeaderModifier'),
        examples: {
          good: [{ type: 'RequestRedirect', requestRedirect: { scheme: 'https' } }],
          bad: [{ type: 'URLRewrite' }, { type: 'URLRewrite', requestRedirect: {} }],
        },
      },
    ],
  },
)

// When a rule of a Route holds: conditions on path, method, headers and query. Pure. Part of route.ts.
import { ROUTE_DEFAULTS } from './default-values.ts'
import { headerName } from './fields.ts'
import { type CrossFieldRule, list, object, oneOf, optional, text } from './schema.ts'

/** Characters of a path (RFC 3986 section 3.3), percent-encodings whole. */
const WHOLE_PATH = /^[/]([A-Za-z0-9/._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})*$/
/** The same, or nothing. */
const PATH_OR_NOTHING = /^([/]([A-Za-z0-9/._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})*)?$/
const UNNORMALISED = /\/\/|\/\.{1,2}(\/|$)/

/** A path that a rule writes: absolute, and spelled as one that has been normalised, or nothing would ever match it. */
export const pathText = (description: string) =>
  text({
    description,
    minLength: 1,
    maxLength: 1024,
    pattern: WHOLE_PATH.source,
    patternMeans: 'a path: it begins with / and has no query, fragment, white space or other than ASCII characters',
    rules: [normalisedPath],
  })

const normalisedPath: CrossFieldRule = {
  cel: "!self.matches('//|/[.][.]?(/|$)')",
  message: 'a path has no //, /./ or /../',
  check: (value: string) => !UNNORMALISED.test(value),
  examples: { good: ['/a/b', '/a.b/..c', '/'], bad: ['/a//b', '/a/../b', '/a/.', '/..'] },
}

/** What stands for a matched prefix: a path, or nothing. */
export const prefixReplacement = (description: string) =>
  text({
    description,
    maxLength: 1024,
    pattern: PATH_OR_NOTHING.source,
    patternMeans: 'empty, or a path that begins with / and has no query, fragment or white space',
    rules: [normalisedPath],
  })

const pathMatch = object(
  {
    type: optional(
      oneOf(['Exact', 'PathPrefix', 'RegularExpression'], {
        description: 'Exact: the whole path. PathPrefix: by whole segments. RegularExpression: RE2, the whole path.',
        default: ROUTE_DEFAULTS.pathType,
      }),
    ),
    value: optional(
      text({
        description: 'The path, or the pattern.',
        minLength: 1,
        maxLength: 1024,
        default: ROUTE_DEFAULTS.pathValue,
      }),
    ),
  },
  {
    description: 'A condition on the path. Case counts.',
    rules: [
      {
        cel: `(has(self.type) && self.type == 'RegularExpression') || !has(self.value) || (self.value.matches('^/([-A-Za-z0-9/._~!$&()*+,;=:@]|\\\\x27|%[0-9A-Fa-f][0-9A-Fa-f])*$') && !self.value.matches('//|/[.][.]?(/|$)'))`,
        message:
          'a path begins with / and has no query, fragment, white space, //, /./ or /../ (a pattern may have them)',
        check: (value: { type?: string; value?: string }) =>
          value.value === undefined ||
          value.type === 'RegularExpression' ||
          (WHOLE_PATH.test(value.value) && !UNNORMALISED.test(value.value)),
        examples: {
          good: [
            { value: '/a' },
            { value: "/it's" },
            { value: '/%7euser' },
            { type: 'RegularExpression', value: '.*' },
          ],
          bad: [
            { value: 'a' },
            { value: '/a?b' },
            { type: 'Exact', value: '/a//b' },
            { value: '/a b' },
            { value: '/%zz' },
          ],
        },
      },
    ],
  },
)

const valueMatch = (what: string, name: ReturnType<typeof headerName>) =>
  object(
    {
      type: optional(
        oneOf(['Exact', 'RegularExpression'], {
          description: 'How the value is compared.',
          default: ROUTE_DEFAULTS.valueType,
        }),
      ),
      name,
      value: text({ description: 'The value, or an RE2 pattern for the whole value.', maxLength: 1024 }),
    },
    { description: `A condition on ${what}.` },
  )

/** One set of conditions of a rule. */
export const match = object(
  {
    path: optional(pathMatch),
    method: optional(
      text({
        description: 'The request method.',
        minLength: 1,
        maxLength: 32,
        pattern: '^[A-Z][A-Z-]*$',
        patternMeans: 'a method in capitals, such as GET',
      }),
    ),
    headers: optional(
      list(valueMatch('one header', headerName('Header name; case does not count.')), {
        description: 'Conditions on headers, all of them.',
        maxItems: 16,
        listType: { mapBy: ['name'] },
      }),
    ),
    queryParams: optional(
      list(
        valueMatch(
          'one query parameter',
          text({ description: 'Parameter name; case counts.', minLength: 1, maxLength: 256 }),
        ),
        { description: 'Conditions on query parameters, all of them.', maxItems: 16, listType: { mapBy: ['name'] } },
      ),
    ),
  },
  { description: 'All conditions must hold.' },
)

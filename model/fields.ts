// Field schemas that more than one kind uses: hostnames, object names, durations, rates, sizes, references. Pure.
// Used by tenant.ts, route.ts, policy.ts and the policies' own schemas.
import { describeCidrProblem } from './address.ts'
import { MAX_DURATION_MS, parseDuration, parseRate, parseSize } from './quantity.ts'
import { type CrossFieldRule, integer, integerOrText, list, object, oneOf, optional, text } from './schema.ts'

const DNS_LABEL = '[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?'
const LABEL_WORDS = 'lower-case letters, digits and hyphens, with a letter or digit at both ends'

/** A DNS label: names of namespaces and Services (RFC 1123, at most 63 characters). */
export const labelName = (description: string) =>
  text({
    description,
    minLength: 1,
    maxLength: 63,
    pattern: `^${DNS_LABEL}$`,
    patternMeans: `a DNS label: ${LABEL_WORDS}`,
  })

/** A DNS subdomain: names of Secrets, ConfigMaps, Atrium's own kinds (RFC 1123, at most 253 characters). */
export const objectName = (description: string) =>
  text({
    description,
    minLength: 1,
    maxLength: 253,
    pattern: `^${DNS_LABEL}(\\.${DNS_LABEL})*$`,
    patternMeans: `a DNS name: labels of ${LABEL_WORDS}, joined by dots`,
  })

/**
 * A hostname as the Gateway API writes it: lower case, no port, no trailing dot, optionally `*.` in front.
 * The wildcard stands for one or more labels.
 */
export const hostname = (description: string) =>
  text({
    description,
    minLength: 1,
    maxLength: 253,
    pattern: `^(\\*\\.)?${DNS_LABEL}(\\.${DNS_LABEL})*$`,
    patternMeans: 'a hostname: lower case, without a port or a trailing dot, a wildcard only as *. in front',
  })

/** A hostname without a wildcard. */
export const exactHostname = (description: string) =>
  text({
    description,
    minLength: 1,
    maxLength: 253,
    pattern: `^${DNS_LABEL}(\\.${DNS_LABEL})*$`,
    patternMeans: 'a hostname: lower case, without a port, a trailing dot or a wildcard',
  })

/** A Go-style duration such as `250ms`, `5s`, `1m30s` (Gateway API GEP-2257: whole numbers, h m s ms). */
export const duration = (
  description: string,
  extra: { readonly default?: string; readonly rules?: readonly CrossFieldRule[] } = {},
) =>
  text({
    description,
    minLength: 2,
    maxLength: 32,
    pattern: '^([0-9]{1,5}(h|m|s|ms)){1,4}$',
    patternMeans: 'a duration such as 250ms, 5s or 1m30s',
    grammar: (value) => problemOf(() => parseDuration(value)),
    ...extra,
    rules: [
      {
        cel: "duration(self) <= duration('24h')",
        message: 'at most 24h',
        check: (value: string) => parseDuration(value) <= MAX_DURATION_MS,
        // Longer ones are refused by the grammar before this rule is asked.
        examples: { good: ['24h', '250ms'], bad: [] },
      },
      ...(extra.rules ?? []),
    ],
  })

/** A duration that cannot be 0. */
export const positiveDuration = (description: string, extra: { readonly default?: string } = {}) =>
  duration(description, {
    ...extra,
    rules: [
      {
        cel: "duration(self) > duration('0s')",
        message: 'must be more than 0',
        check: (value: string) => parseDuration(value) > 0,
        examples: { good: ['1ms'], bad: ['0s', '0h0ms'] },
      },
    ],
  })

/** A rate such as `500/s`, `20/m`, `10000/h`, `6/d`. */
export const rate = (description: string) =>
  text({
    description,
    minLength: 3,
    maxLength: 16,
    pattern: '^[1-9][0-9]{0,9}/(s|m|h|d)$',
    patternMeans: 'a rate such as 500/s, 20/m, 10000/h or 6/d',
    grammar: (value) => problemOf(() => parseRate(value)),
  })

/** A size in bytes as a Kubernetes quantity: `10Mi`, `512k`, `1048576`. */
export const size = (description: string) =>
  integerOrText({
    description,
    minimum: 0,
    maximum: Number.MAX_SAFE_INTEGER,
    maxLength: 16,
    pattern: '^[0-9]{1,12}(Ki|Mi|Gi|Ti|k|M|G|T)?$',
    patternMeans: 'a size in bytes such as 10Mi, 512k or 1048576',
    grammar: (value) => problemOf(() => parseSize(value)),
  })

/** A TCP port. */
export const portNumber = (description: string) => integer({ description, minimum: 1, maximum: 65535 })

/** A header field name (RFC 9110 section 5.1). Underscores are refused, because backends confuse them with hyphens. */
export const headerName = (description: string) =>
  text({
    description,
    minLength: 1,
    maxLength: 256,
    pattern: "^[A-Za-z0-9!#$%&'*+.^`|~-]+$",
    patternMeans: 'a header name: letters, digits and hyphens, no underscore',
  })

/** A header field value (RFC 9110 section 5.5): visible ASCII, spaces and tabs inside. */
export const headerValue = (description: string) =>
  text({
    description,
    minLength: 1,
    maxLength: 4096,
    pattern: '^[!-~]([\\t -~]*[!-~])?$',
    patternMeans: 'a header value: visible ASCII, with spaces and tabs only inside',
  })

/** A range of addresses, or one address. */
export const addressRange = (description: string) =>
  text({
    description,
    minLength: 2,
    maxLength: 49,
    pattern: '^[0-9a-fA-F:.]{2,45}(/[0-9]{1,3})?$',
    patternMeans: 'an address range such as 10.0.0.0/8 or 2001:db8::/32, or one address',
    grammar: describeCidrProblem,
  })

/** A reference to a Secret that holds a certificate and its key. */
export const secretRef = (description: string) =>
  object(
    {
      group: optional(oneOf([''], { description: 'API group of the referent; always the core group.', default: '' })),
      kind: optional(oneOf(['Secret'], { description: 'Kind of the referent.', default: 'Secret' })),
      name: objectName('Name of the Secret.'),
      namespace: optional(labelName('Namespace of the Secret; another one than the own needs a ReferenceGrant there.')),
    },
    { description },
  )

/** A reference to a CA bundle: a ConfigMap or Secret with the key `ca.crt`. */
export const caRef = (description: string) =>
  object(
    {
      group: optional(oneOf([''], { description: 'API group of the referent; always the core group.', default: '' })),
      kind: optional(oneOf(['ConfigMap', 'Secret'], { description: 'Kind of the referent.', default: 'ConfigMap' })),
      name: objectName('Name of the ConfigMap or Secret.'),
      namespace: optional(
        labelName('Namespace of the referent; another one than the own needs a ReferenceGrant there.'),
      ),
    },
    { description },
  )

/** Names of the policies that a Tenant or Route refuses to serve without. */
export const requiredPolicies = (description: string) =>
  list(
    text({
      description: 'Name of a policy body, such as access.',
      minLength: 1,
      maxLength: 63,
      pattern: '^[a-z][A-Za-z]*$',
      patternMeans: 'the name of a policy: letters, the first in lower case',
    }),
    {
      description,
      maxItems: 16,
      listType: 'set',
    },
  )

function problemOf(parse: () => unknown): string | undefined {
  try {
    parse()
    return undefined
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

// Takes secrets out of a query before it is logged: the value of every secret-looking name is replaced. Pure.
// access-log.ts calls it for each line; nothing else prints a query.

// Found anywhere in a name once case, `-`, `_`, `.` and percent-encoding are out of the way.
const SECRET_PART =
  /token|secret|passw|passphrase|pwd|apikey|accesskey|privatekey|signature|credential|authorization|session|jwt|saml|assertion|cookie/
// Too short to be found inside other words.
const SECRET_NAME = /^(key|sig|auth|code|sid|pass|pin|otp|hmac|bearer|basic)$/

/** What stands in for a value. */
export const HIDDEN_VALUE = '(hidden)'

/** The query with the values of secret-looking names replaced; everything else as it was, byte for byte. */
export function hideSecrets(query: string): string {
  if (query === '') return query
  let shown = ''
  let start = 0
  for (let at = 0; at <= query.length; at++) {
    const end = at === query.length
    const code = end ? 0 : query.charCodeAt(at)
    // `;` separates pairs for some readers: whoever may read a name there must not find a secret in the log.
    if (!end && code !== 0x26 && code !== 0x3b) continue
    shown += pair(query.slice(start, at))
    if (!end) shown += query[at]
    start = at + 1
  }
  return shown
}

function pair(text: string): string {
  const equals = text.indexOf('=')
  if (equals < 0 || equals === text.length - 1) return text
  return looksSecret(text.slice(0, equals)) ? `${text.slice(0, equals)}=${HIDDEN_VALUE}` : text
}

function looksSecret(name: string): boolean {
  const words = decodeTwice(name)
    .toLowerCase()
    .split(/[^a-z0-9]+/)
  return SECRET_PART.test(words.join('')) || words.some((word) => SECRET_NAME.test(word))
}

// Twice, because a backend behind a careless hop may decode twice.
function decodeTwice(name: string): string {
  return decode(decode(name))
}

function decode(name: string): string {
  return name.includes('%')
    ? name.replace(/%([0-9a-fA-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
    : name
}

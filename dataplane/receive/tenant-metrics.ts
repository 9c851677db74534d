// The series of one tenant out of the text of all metrics: comments and samples whose label `tenant` is this one.

/** Keeps the lines of one tenant. `pieces` is text of the Prometheus format, cut anywhere. */
export async function* linesOfTenant(pieces: AsyncIterable<string>, tenant: string): AsyncGenerator<string> {
  const label = `tenant="${tenant.replace(/[\\"\n]/g, (char) => (char === '\n' ? '\\n' : `\\${char}`))}"`
  let rest = ''
  for await (const piece of pieces) {
    const lines = (rest + piece).split('\n')
    rest = lines.pop() ?? ''
    const kept = lines.filter((line) => isOf(line, label))
    if (kept.length > 0) yield `${kept.join('\n')}\n`
  }
  if (rest !== '' && isOf(rest, label)) yield `${rest}\n`
}

function isOf(line: string, label: string): boolean {
  if (line.startsWith('#')) return true
  for (let at = line.indexOf(label); at >= 0; at = line.indexOf(label, at + 1)) {
    const before = line[at - 1]
    const after = line[at + label.length]
    if ((before === '{' || before === ',') && (after === ',' || after === '}')) return true
  }
  return false
}

// One exposition out of those of several pods: samples of the same series are added up, so that a tenant sees what all
// pods did for it. Pure. Ratios and points in time do not add: there the highest holds.

/** Sums texts of the Prometheus format. Heads stand where they came first; lines that are no sample are left out. */
export function mergeExpositions(texts: readonly string[]): string {
  const families = new Map<string, { head: string[]; samples: Map<string, number> }>()
  for (const text of texts) {
    let family: { head: string[]; samples: Map<string, number> } | undefined
    for (const line of text.split('\n')) {
      const head = /^# (HELP|TYPE) ([a-zA-Z_:][a-zA-Z0-9_:]*) /.exec(line)
      if (head !== null) {
        const [, word, name = ''] = head
        family = families.get(name) ?? { head: [], samples: new Map() }
        families.set(name, family)
        if (!family.head.some((each) => each.startsWith(`# ${word} `))) family.head.push(line)
        continue
      }
      const sample = /^([a-zA-Z_:][a-zA-Z0-9_:]*(?:\{.*\})?) (\S+)/.exec(line)
      const [, series, value] = sample ?? []
      if (series === undefined || family === undefined) continue
      const before = family.samples.get(series)
      const isPeak = /^[a-z0-9_]+_(ratio|timestamp_seconds)(\{|$)/.test(series)
      const sum = (before ?? 0) + Number(value)
      family.samples.set(series, isPeak && before !== undefined ? Math.max(before, Number(value)) : sum)
    }
  }
  let merged = ''
  for (const { head, samples } of families.values()) {
    if (samples.size === 0) continue
    merged += `${head.join('\n')}\n`
    for (const [series, value] of samples) merged += `${series} ${value}\n`
  }
  return merged
}

// Reads the text that /metrics prints (Prometheus exposition format 0.0.4). Pure. The demo's table is made from it.

/** One sample. */
export interface Sample {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

const LINE = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)/
const LABEL = /([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"/g

/** All samples of a page; comments and what it does not understand are passed over. */
export function parseMetrics(page: string): readonly Sample[] {
  const samples: Sample[] = []
  for (const line of page.split('\n')) {
    const match = line.startsWith('#') ? null : LINE.exec(line)
    if (match === null) continue
    const labels: Record<string, string> = {}
    for (const [, name = '', value = ''] of (match[2] ?? '').matchAll(LABEL))
      labels[name] = value.replace(/\\(.)/g, '$1')
    samples.push({ name: match[1] ?? '', labels, value: Number(match[3]) })
  }
  return samples
}

/** Sum of the samples of a name whose labels are as wanted. */
export function sumOf(samples: readonly Sample[], name: string, labels: Readonly<Record<string, string>>): number {
  let sum = 0
  for (const sample of samples) {
    if (sample.name !== name) continue
    if (Object.entries(labels).every(([label, value]) => sample.labels[label] === value)) sum += sample.value
  }
  return sum
}

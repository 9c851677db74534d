// The text exposition format of Prometheus (version 0.0.4), as far as the controller needs it: families of counters,
// gauges and histograms. Pure. controller/metrics.ts writes with it.

/** A value with its labels. */
export interface Sample {
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

/** What stands above the samples. */
export interface Family {
  readonly name: string
  readonly type: 'counter' | 'gauge'
  /** The question it answers. */
  readonly help: string
}

/** Media type of the text. */
export const EXPOSITION_TYPE = 'text/plain; version=0.0.4; charset=utf-8'

/** A family with its samples; one without samples is shown without any. */
export function familyText({ name, type, help }: Family, samples: readonly Sample[]): string {
  return `${heading(name, type, help)}${samples.map((sample) => line(name, sample)).join('')}`
}

/** Counts values in buckets. */
export class Histogram {
  readonly #name: string
  readonly #help: string
  readonly #bounds: readonly number[]
  readonly #counts: number[]
  #sum = 0
  #count = 0

  /** @param bounds upper bounds, rising, without infinity. */
  constructor(name: string, help: string, bounds: readonly number[]) {
    this.#name = name
    this.#help = help
    this.#bounds = bounds
    this.#counts = bounds.map(() => 0)
  }

  observe(value: number): void {
    this.#sum += value
    this.#count++
    const index = this.#bounds.findIndex((bound) => value <= bound)
    if (index >= 0) this.#counts[index] = (this.#counts[index] ?? 0) + 1
  }

  text(): string {
    const name = this.#name
    let below = 0
    const buckets = this.#bounds.map((bound, index) => {
      below += this.#counts[index] ?? 0
      return line(`${name}_bucket`, { labels: { le: String(bound) }, value: below })
    })
    return [
      heading(name, 'histogram', this.#help),
      ...buckets,
      line(`${name}_bucket`, { labels: { le: '+Inf' }, value: this.#count }),
      line(`${name}_sum`, { labels: {}, value: this.#sum }),
      line(`${name}_count`, { labels: {}, value: this.#count }),
    ].join('')
  }
}

function heading(name: string, type: string, help: string): string {
  return `# HELP ${name} ${help.replaceAll('\\', '\\\\').replaceAll('\n', '\\n')}\n# TYPE ${name} ${type}\n`
}

function line(name: string, { labels, value }: Sample): string {
  const pairs = Object.entries(labels).map(([label, text]) => `${label}="${escaped(text)}"`)
  return `${name}${pairs.length === 0 ? '' : `{${pairs.join(',')}}`} ${value}\n`
}

function escaped(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')
}

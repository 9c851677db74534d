// A table that is never changed: names in order, a value for each. Pure. An edit copies one flat list of values, which is
// cheap at 10,000 tenants; places are shared until a name comes or goes. What compile remembers is kept in these.
import { compareText } from '../../model/canonical.ts'

/** Name to value, in the order of names. */
export class OrderedTable<Value> {
  /** Ordered. */
  readonly names: readonly string[]
  /** In the order of `names`. */
  readonly values: readonly Value[]
  readonly #places: ReadonlyMap<string, number>

  private constructor(names: readonly string[], values: readonly Value[], places: ReadonlyMap<string, number>) {
    this.names = names
    this.values = values
    this.#places = places
  }

  static empty<Value>(): OrderedTable<Value> {
    return new OrderedTable<Value>([], [], new Map())
  }

  get(name: string): Value | undefined {
    const place = this.#places.get(name)
    return place === undefined ? undefined : this.values[place]
  }

  /** This table with some values set, or taken out where the value is undefined. The table itself where there are none. */
  with(changes: readonly (readonly [string, Value | undefined])[]): OrderedTable<Value> {
    if (changes.length === 0) return this
    const values = [...this.values]
    for (const [name, value] of changes) {
      const place = this.#places.get(name)
      if (place === undefined || value === undefined) return this.#rebuilt(changes)
      values[place] = value
    }
    return new OrderedTable(this.names, values, this.#places)
  }

  #rebuilt(changes: readonly (readonly [string, Value | undefined])[]): OrderedTable<Value> {
    const all = new Map<string, Value>()
    this.names.forEach((name, place) => {
      const value = this.values[place]
      if (value !== undefined) all.set(name, value)
    })
    for (const [name, value] of changes) {
      if (value === undefined) all.delete(name)
      else all.set(name, value)
    }
    const names = [...all.keys()].sort(compareText)
    const values: Value[] = []
    for (const name of names) {
      const value = all.get(name)
      if (value !== undefined) values.push(value)
    }
    return new OrderedTable(names, values, new Map(names.map((name, place) => [name, place])))
  }
}

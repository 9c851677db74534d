// Flags: their parsers, their environment twins, and the ones that every verb has. A flag `--admin-port` has the twin
// ATRIUM_ADMIN_PORT; the order is flag, environment, default, and --show-config says which it was.
import { statSync } from 'node:fs'
import { type Command, InvalidArgumentError, Option } from 'commander'
import { describeCidrProblem } from '../model/address.ts'
import { parseDuration } from '../model/quantity.ts'
import type { OutputFlags } from './terminal.ts'

export type OutputFormat = 'table' | 'wide' | 'json' | 'yaml' | 'jsonl' | 'name' | 'markdown'

/** Flags that every verb has. */
export interface CommonFlags extends OutputFlags {
  readonly output?: OutputFormat
  /** false with --no-headers. */
  readonly headers?: boolean
  readonly showConfig?: boolean
}

/** A flag with its environment twin. */
export function flag(spelling: string, description: string): Option {
  const option = new Option(spelling, description)
  return option.env(`ATRIUM_${option.name().replaceAll('-', '_').toUpperCase()}`)
}

/** Adds the flags that every verb has, `-o` only where there is a choice. */
export function addCommonFlags(command: Command, formats: readonly OutputFormat[] = []): Command {
  command.optionsGroup('Output:')
  if (formats.length > 0) {
    command.addOption(flag('-o, --output <format>', 'how to print').choices(formats).default(formats[0]))
  }
  command.addOption(flag('--color <when>', 'colours').choices(['auto', 'always', 'never']).default('auto'))
  command.addOption(flag('-q, --quiet', 'nothing on stderr but errors'))
  command.addOption(flag('-v, --verbose', 'more on stderr'))
  command.addOption(new Option('--show-config', 'print every setting with its source, and stop'))
  return command
}

/** The folders of YAML. */
export function configFlag(description = 'folder of YAML, read recursively; repeatable'): Option {
  return flag('--config <dir>', description).argParser(collect(folder))
}

/** Endpoint ranges that the operator allows. */
export function allowEndpointsFlag(): Option {
  return flag('--allow-endpoints <cidr>', 'extra endpoint addresses that backends may have; repeatable').argParser(
    collect(cidr),
  )
}

/** Only these tenants. */
export function tenantFlag(): Option {
  return flag('-t, --tenant <name>', 'only this tenant; repeatable').argParser(collect((text) => text))
}

/** A parser for a flag that may be given several times, or once with commas. */
export function collect<Item>(
  parse: (text: string) => Item,
): (text: string, before: readonly Item[] | undefined) => Item[] {
  return (text, before) => [...(before ?? []), ...text.split(',').filter(Boolean).map(parse)]
}

/** An existing folder. */
export function folder(text: string): string {
  const found = statSync(text, { throwIfNoEntry: false })
  if (found === undefined) throw new InvalidArgumentError(`There is no folder ${text}.`)
  if (!found.isDirectory()) throw new InvalidArgumentError(`${text} is not a folder.`)
  return text
}

/** A range of addresses, or one address, as written. */
export function cidr(text: string): string {
  const problem = describeCidrProblem(text)
  if (problem !== undefined) throw new InvalidArgumentError(`${problem}.`)
  return text
}

/** A TCP port; 0 lets the system choose. */
export function port(text: string): number {
  const value = Number(text)
  if (!/^\d{1,5}$/.test(text) || value > 65_535) throw new InvalidArgumentError('A port is a number from 0 to 65535.')
  return value
}

/** A port that may be left closed. Not null: commander takes that for a missing value. */
export type PortOrOff = number | 'off'

/** A TCP port, or `off`. */
export function portOrOff(text: string): PortOrOff {
  return text === 'off' ? 'off' : port(text)
}

/** A whole number within bounds. */
export function wholeNumber(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = Number(text)
    if (!/^\d{1,9}$/.test(text) || value < least || value > most) {
      throw new InvalidArgumentError(`It is a whole number from ${least} to ${most}.`)
    }
    return value
  }
}

/** A duration such as `30s` or `1m30s`, in milliseconds. */
export function durationValue(text: string): number {
  try {
    return parseDuration(text)
  } catch {
    throw new InvalidArgumentError('A duration is written like 250ms, 5s or 1m30s.')
  }
}

/** `name: value`, as curl takes it. */
export function headerField(text: string): { readonly name: string; readonly value: string } {
  const colon = text.indexOf(':')
  const name = text.slice(0, colon)
  if (colon < 1 || !/^[A-Za-z0-9!#$%&'*+.^_`|~-]+$/.test(name)) {
    throw new InvalidArgumentError("A header is written 'name: value'.")
  }
  return { name, value: text.slice(colon + 1).trim() }
}

// The demo's picture as lines of text. Pure: the same state and size give the same lines; drawing is draw.ts's work.
import { duration, plural, share } from '../bin/output/units.ts'
import { type Column, tableLines } from '../bin/output/table.ts'
import { cut, pad, wrapBehind } from '../bin/output/width.ts'
import type { Paint } from '../bin/terminal.ts'
import { stateWord, type TenantRow } from './figures.ts'

/** Where everything listens. */
export interface Addresses {
  readonly http: number
  readonly https: number | null
  readonly admin: number | null
}

/** Ends the label of a command. */
export const COMMAND_MARK = '$ '

/** Everything that the picture shows. */
export interface Picture {
  readonly version: string
  readonly readySeconds: number
  readonly addresses: Addresses
  readonly folder: string
  readonly rows: readonly TenantRow[]
  /** Tenant to what stands after its state: `p99 1.05x`. */
  readonly remarks: ReadonlyMap<string, string>
  readonly snapshot: string
  readonly workers: string
  /** Milliseconds. */
  readonly changeMs: number | undefined
  readonly isolation: string
  /** Newest last: what stands before it, and the text. */
  readonly events: readonly (readonly [label: string, text: string])[]
  readonly page: 'table' | 'help' | { readonly prompt: string } | { readonly answer: readonly string[] }
}

const KEYS = 'n noisy neighbour  b break a backend  x bad config  e explain  h help  q quit'
const WIDEST = 100
/** Lines from which on there is room for blank ones. */
const ROOMY = 28

/** The lines for a terminal of that size; colours through `paint`, which may add none. */
export function pictureLines(
  picture: Picture,
  size: { readonly columns: number; readonly rows: number },
  paint: (style: Paint, text: string) => string,
): string[] {
  const width = Math.min(size.columns, WIDEST) - 2
  // What one reads takes the whole screen.
  const page = picture.page
  const whole = page === 'help' || (typeof page === 'object' && 'answer' in page)
  // On a terminal of the usual 24 lines what happened needs the room more than blank lines do.
  const dense = size.rows < ROOMY
  const banner = bannerLines(picture, width, paint)
  const head = whole ? [] : dense ? banner.filter((line) => line !== '').slice(0, -1) : banner
  const foot = ['', paint('dim', whole ? 'any key goes back' : cut(KEYS, width))]
  const most = Math.max(1, size.rows - 1)
  const body = bodyLines(picture, width, { room: most - head.length - foot.length - 2, dense }, paint)
  const lines = ['', ...head, '', ...body]
  // The keys stay, whatever else has no room.
  const shown = most > foot.length ? [...lines.slice(0, most - foot.length), ...foot] : lines.slice(0, most)
  return shown.map((line) => (line === '' ? '' : `  ${line}`))
}

/** The first lines: what runs, where, and a command to try. Without a terminal they are printed once. */
export function bannerLines(
  picture: Pick<Picture, 'version' | 'readySeconds' | 'addresses' | 'folder' | 'rows'>,
  width: number,
  paint: (style: Paint, text: string) => string,
): string[] {
  const { http, https, admin } = picture.addresses
  const title = `Atrium ${picture.version}  ready in ${picture.readySeconds.toFixed(1)} s`
  const url = `http://shop.acme.localhost:${http}`
  return [
    cut(`${title}      no cluster; edits of ${picture.folder} are live`, width).replace(title, paint('bold', title)),
    '',
    cut(`Gateway   ${url}${https === null ? '' : `   https on ${https}, demo certificate`}`, width),
    ...(admin === null ? [] : [cut(`Admin     http://localhost:${admin}/metrics  /status  /snapshot`, width)]),
    cut(`Try       curl ${url}/api/orders`, width),
    cut(`          curl -H Host:shop.acme.localhost http://127.0.0.1:${http}/api/orders`, width),
  ]
}

function bodyLines(
  picture: Picture,
  width: number,
  { room, dense }: { readonly room: number; readonly dense: boolean },
  paint: (style: Paint, text: string) => string,
): string[] {
  if (picture.page === 'help') {
    return HELP.flatMap(([label, text]) => (text === '' ? [''] : wrapBehind(label, text, width))).slice(0, room)
  }
  if (typeof picture.page === 'object' && 'answer' in picture.page) {
    return picture.page.answer.map((line) => cut(line, width)).slice(0, room)
  }
  const table = tableOf(picture, width, paint)
  const total = picture.rows.reduce((sum, row) => sum + row.requestsPerSecond, 0)
  const change = picture.changeMs === undefined ? '' : ` · last change took ${duration(picture.changeMs)}`
  const status = `snapshot ${picture.snapshot} on ${picture.workers}${change} · ${total.toFixed(1)} req/s`
  const gap = dense ? [] : ['']
  const lines = [...table, '', cut(status, width)]
  if (picture.isolation !== '') lines.push(...gap, ...wrapBehind('Isolation   ', picture.isolation, width))
  if (picture.page !== 'table') {
    return [...lines, '', `explain ${picture.page.prompt}▏`, paint('dim', 'Enter asks, Escape goes back')]
  }
  const space = Math.max(0, room - lines.length - 1)
  const events = eventLines(picture.events, space, width)
  return events.length === 0 ? lines : [...lines, '', ...events]
}

/** The newest that fit. What happened comes before the command that does the same. */
function eventLines(events: Picture['events'], space: number, width: number): string[] {
  const linesOf = (list: Picture['events']) => list.flatMap(([label, text]) => wrapBehind(label, text, width))
  if (space === 0) return []
  const newest = events.findLastIndex(([label]) => !label.endsWith(COMMAND_MARK))
  const fits = newest === -1 || linesOf(events.slice(newest)).length <= space
  return linesOf(fits ? events : events.filter(([label]) => !label.endsWith(COMMAND_MARK))).slice(-space)
}

function tableOf(picture: Picture, width: number, paint: (style: Paint, text: string) => string): string[] {
  // Always the same width, so that no column comes and goes with what happens.
  const state = (row: TenantRow) => pad(`${pad(stateWord(row), 7)}${remark(picture, row)}`, 26)
  const columns: Column<TenantRow>[] = [
    { title: 'TENANT', value: (row) => row.tenant },
    { title: 'ROUTES', value: (row) => String(row.routes), align: 'right', drop: 3 },
    { title: ' REQ/S', value: (row) => row.requestsPerSecond.toFixed(1), align: 'right' },
    { title: '   P50', value: (row) => latency(row.p50), align: 'right', drop: 2 },
    { title: '   P99', value: (row) => latency(row.p99), align: 'right' },
    { title: 'ERRORS', value: (row) => share(row.errors), align: 'right' },
    {
      title: 'OF LIMIT',
      value: (row) => (row.ofLimit === undefined ? '-' : share(row.ofLimit, 0)),
      align: 'right',
      drop: 1,
    },
    {
      title: 'STATE',
      value: state,
      paint: (row, cell) => paint(stateWord(row) === 'Serving' ? 'green' : 'yellow', cell),
    },
  ]
  return tableLines(columns, picture.rows, { width, headers: true })
}

function remark(picture: Picture, row: TenantRow): string {
  const said = picture.remarks.get(row.tenant)
  if (said !== undefined) return `  ${said}`
  if (row.refusedPerSecond >= 1) return `  ${row.refusedPerSecond.toFixed(0)}/s got 429`
  if (row.endpoints.ready < row.endpoints.all) {
    return `  ${row.endpoints.ready} of ${plural(row.endpoints.all, 'endpoint')}`
  }
  return ''
}

function latency(milliseconds: number | undefined): string {
  return milliseconds === undefined ? '-' : duration(milliseconds)
}

const HELP: readonly (readonly [label: string, text: string])[] = [
  ['n   ', 'initech sends ten times its limit of 50 requests a second; again: stop. Watch the P99 of the others.'],
  ['b   ', "kills one of acme's two API backends; again: brings it back. Watch the errors of acme."],
  ['x   ', 'writes a Route of initech that claims a host of acme; again: removes it. Watch who notices.'],
  ['e   ', 'asks where a request would go, and why.'],
  ['q   ', 'quits and ends everything that the demo started.'],
  ['', ''],
  ['    ', 'Every key says which command does the same without the demo. examples/demo is yours to edit.'],
  ['    ', 'P50 and P99 are what the demo’s clients saw over 10 s; the rest is what the gateway counts (/metrics).'],
]

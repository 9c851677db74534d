// What the two faces of the demo, the screen and the JSON lines, are given by main.ts. Types only.
import type { Ending } from './endings.ts'
import type { DemoGateway } from './gateway.ts'
import type { SessionOptions } from './session.ts'

/** What both faces of the demo work with. */
export interface DemoRun {
  readonly version: string
  readonly readySeconds: number
  readonly gateway: DemoGateway
  readonly ending: Ending
  readonly folder: string
  readonly session: Omit<SessionOptions, 'onEvent' | 'onChange'>
  readonly forMs: number | undefined
  readonly noisy: boolean
}

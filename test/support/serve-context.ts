// A ServeContext for tests: local state, a log that is a list, faults that are a list. Close it when the test is over.
import type { HostIndex } from '../../dataplane/build/program.ts'
import type { AccessRecord } from '../../dataplane/runtime/access-log.ts'
import { type FaultPlace, RequestIds, type ServeContext } from '../../dataplane/runtime/exchange-context.ts'
import { LeaseRegistry } from '../../dataplane/runtime/leases.ts'
import { createLocalState, type LocalState } from '../../dataplane/runtime/local-state.ts'

/** A context with everything that went into it. */
export interface TestContext extends ServeContext {
  readonly state: LocalState
  readonly records: AccessRecord[]
  readonly faults: { readonly error: unknown; readonly where: FaultPlace }[]
  close(): void
}

/** @param hosts what is served; @param state the program's own state, so that counters are the same. */
export function createTestContext(
  hosts: HostIndex,
  state: LocalState = createLocalState(),
  httpsPort: () => number = () => 443,
): TestContext {
  const records: AccessRecord[] = []
  const faults: { error: unknown; where: FaultPlace }[] = []
  const leases = new LeaseRegistry(state.now)
  return {
    hosts,
    state,
    leases,
    records,
    faults,
    log: { write: (record) => void records.push(record), flush: async () => {} },
    requestIds: new RequestIds('00000000feedc0de'),
    fault: (error, where) => void faults.push({ error, where }),
    httpsPort,
    wallClock: () => Date.now(),
    close: () => leases.stop(),
  }
}

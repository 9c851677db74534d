import { podStateContract } from '../../test/contracts/pod-state.ts'
import { createAllocator, grantAll } from '../../test/support/shared-state.ts'
import { SharedState } from './shared-state.ts'

podStateContract('shared state', ({ clock, maxKeys }) => {
  const allocator = createAllocator({ workers: 3, now: clock, maxKeys })
  const state = new SharedState(allocator.root, 1, clock)
  return { state, grant: (needs) => grantAll(allocator, [state], needs) }
})

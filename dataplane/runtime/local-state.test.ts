import { podStateContract } from '../../test/contracts/pod-state.ts'
import { createLocalState } from './local-state.ts'

podStateContract('local state', (options) => ({ state: createLocalState(options), grant: () => {} }))

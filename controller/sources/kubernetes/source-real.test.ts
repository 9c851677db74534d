// The Kubernetes source against a real API server: the suite of all sources. Skipped, with the reason in its name, where
// the programs of a real one are not built.
import { afterAll, beforeAll, describe, test } from 'vitest'
import { describeSource } from '../../../test/contracts/source.ts'
import { missingRealApi, type RealApi, startRealApi } from '../../../test/support/real-api.ts'
import { realDriver } from '../../../test/support/real-driver.ts'

const missing = await missingRealApi()

describe.skipIf(missing !== undefined)('with a real API server', () => {
  let api: RealApi
  let serial = 0
  beforeAll(async () => {
    api = await startRealApi()
  }, 120_000)
  afterAll(() => api.stop())

  describeSource('a real API server', async () => realDriver(api, ++serial))
})

if (missing !== undefined) test.skip(`nothing was tried on a real API server: ${missing}`)

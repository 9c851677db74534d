// The three carriers that pass one suite.
import { AddressRanges } from '../../model/address.ts'
import { createHandler } from '../../dataplane/runtime/exchange.ts'
import { createRefuse } from '../../dataplane/runtime/exchange-refusal.ts'
import { ConnectionRoom } from '../../dataplane/serve/connection-room.ts'
import { listen } from '../../dataplane/serve/listener.ts'
import { MemoryCall } from '../support/memory-carrier.ts'
import { listenRaw } from '../support/raw-carrier.ts'
import { SocketCall } from '../support/raw-client.ts'
import { carrierSuite } from './carrier.ts'

carrierSuite('memory', async (context) => {
  const handler = createHandler(context)
  return { call: (options) => new MemoryCall(handler, options), close: async () => {} }
})

carrierSuite('raw HTTP/1.1 stub', async (context) => {
  const server = await listenRaw(createHandler(context))
  return { call: (options) => new SocketCall(server.port, options), close: () => server.close() }
})

carrierSuite('Fastify', async (context) => {
  const listener = await listen({
    host: '127.0.0.1',
    port: 0,
    handler: createHandler(context),
    refuse: createRefuse(context),
    trustForwarded: new AddressRanges([]),
    leases: context.leases,
    room: new ConnectionRoom(10_000),
    fault: (error) => context.fault(error, { requestId: '', tenant: '', route: null }),
  })
  return { call: (options) => new SocketCall(listener.port, options), close: () => listener.close() }
})

// A leader in a process of its own, for tests that kill it: publishes one set after the other to the pods that it is
// told of, as fast as they follow. Its parent hands it everything in one message.
import { HttpPublisher } from '../../controller/publish/http-publisher.ts'
import { type Peer, Peers } from '../../controller/publish/peers.ts'
import { Hidden } from '../../model/hidden.ts'
import { numberedSet, RELEASE, sha256 } from './publish-world.ts'

/** What it is told. */
export interface PublisherOrder {
  readonly certificate: string
  readonly key: string
  readonly authorities: string
  readonly fence: number
  readonly peers: readonly Peer[]
  /** Number of the first set. */
  readonly from: number
}

process.once('message', (message) => {
  const { certificate, key, authorities, fence, peers: pods, from } = message as PublisherOrder
  const credentials = { certificate, key: new Hidden(key), authorities }
  const peers = new Peers(() => performance.now())
  const publisher = new HttpPublisher({
    release: RELEASE,
    peers,
    leadership: () => ({ leads: true, fence }),
    credentials: () => credentials,
    digest: sha256,
  })
  peers.list(pods)
  process.send?.('begins')
  void publishAll(publisher, from)
})
process.on('disconnect', () => process.exit())

async function publishAll(publisher: HttpPublisher, from: number): Promise<void> {
  for (let mark = from; ; mark++) {
    await publisher.publish(numberedSet(mark), mark)
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
}

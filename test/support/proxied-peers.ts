// Peers whose pods a publisher reaches through a wire that a test bends: the pod says its own port, the proxy's is used.
import { type Peer, Peers } from '../../controller/publish/peers.ts'

/** See the head of this file. */
export class ProxiedPeers extends Peers {
  /** From the pod's own port to the one that leads there. */
  readonly detours = new Map<number, number>()

  override prove(peer: Peer, root?: string): void {
    super.prove({ ...peer, port: this.detours.get(peer.port) ?? peer.port }, root)
  }
}

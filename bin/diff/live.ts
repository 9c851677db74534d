// The snapshot that a cluster runs, read from the lines of the controller's API. Keys of certificates are not in them, so
// it can be compared and never served. `atrium diff --from live` reads it.
import { Hidden } from '../../model/hidden.ts'
import type { AuthorityFacts, CertificateFacts } from '../../model/resources.ts'
import { type Pool, type Snapshot, SNAPSHOT_FORMAT, type TenantShard } from '../../model/snapshot.ts'
import { CommandFailure, EXIT_CODES } from '../exit.ts'

type Line =
  | { readonly type: 'snapshot'; readonly format: number; readonly version: string; readonly endpointsRevision: string }
  | { readonly type: 'shard'; readonly shard: SentShard }
  | { readonly type: 'pool'; readonly key: string; readonly pool: Pool }

type SentShard = Omit<TenantShard, 'certificates' | 'authorities'> & {
  readonly certificates: readonly (readonly [string, Omit<CertificateFacts, 'keyPem' | 'chainPem'>])[]
  readonly authorities: readonly (readonly [string, Omit<AuthorityFacts, 'pem'>])[]
}

/** Reads the lines. Fails with 3 where they are of a format that is not known here. */
export function readLiveSnapshot(text: string): Snapshot {
  const shards = new Map<string, TenantShard>()
  const pools = new Map<string, Pool>()
  let head: Extract<Line, { type: 'snapshot' }> | undefined
  for (const line of text.split('\n')) {
    if (line === '') continue
    const parsed = JSON.parse(line) as Line
    if (parsed.type === 'snapshot') head = parsed
    else if (parsed.type === 'pool') pools.set(parsed.key, parsed.pool)
    else if (parsed.type === 'shard') shards.set(parsed.shard.tenant, restored(parsed.shard))
  }
  if (head?.format !== SNAPSHOT_FORMAT) {
    throw new CommandFailure(
      EXIT_CODES.unreachable,
      `the cluster runs a snapshot of format ${head?.format ?? 'none'}; this is ${SNAPSHOT_FORMAT}`,
    )
  }
  const { version, endpointsRevision } = head
  return { format: SNAPSHOT_FORMAT, version, endpointsRevision, shards, pools }
}

function restored(sent: SentShard): TenantShard {
  return {
    ...sent,
    certificates: new Map(
      sent.certificates.map(([key, facts]) => [key, { ...facts, chainPem: '', keyPem: new Hidden('') }]),
    ),
    authorities: new Map(sent.authorities.map(([key, facts]) => [key, { ...facts, pem: '' }])),
  }
}

// The newest snapshot as JSON lines: a head, then a line for each shard and pool. Keys of certificates never stand in it.
// server.ts sends it; `atrium diff --from live` reads it back. In pieces, so that a large one holds nobody up.
import { canonicalText, compareText } from '../../model/canonical.ts'
import type { Snapshot, TenantShard } from '../../model/snapshot.ts'

const CHUNK = 65_536

/** The lines of all tenants, or of one. */
export async function* snapshotLines(snapshot: Snapshot, tenant: string | undefined): AsyncGenerator<string> {
  const { format, version, endpointsRevision } = snapshot
  let text = `${canonicalText({ type: 'snapshot', format, version, endpointsRevision })}\n`
  for (const line of lines(snapshot, tenant)) {
    text += `${line}\n`
    if (text.length < CHUNK) continue
    yield text
    text = ''
    await new Promise((resolve) => setImmediate(resolve))
  }
  yield text
}

function* lines({ shards, pools }: Snapshot, tenant: string | undefined): Generator<string> {
  const names = [...shards.keys()].filter((name) => tenant === undefined || name === tenant).sort(compareText)
  for (const name of names) {
    const shard = shards.get(name)
    if (shard !== undefined) yield canonicalText({ type: 'shard', shard: withoutKeys(shard) })
  }
  for (const key of [...pools.keys()].sort(compareText)) {
    const pool = pools.get(key)
    if (pool !== undefined && (tenant === undefined || pool.id.tenant === tenant))
      yield canonicalText({ type: 'pool', key, pool })
  }
}

function withoutKeys(shard: TenantShard): unknown {
  const certificates = [...shard.certificates].map(
    ([fingerprint, { keyPem: _keyPem, chainPem: _chainPem, ...facts }]) => [fingerprint, facts],
  )
  const authorities = [...shard.authorities].map(([fingerprint, { pem: _pem, ...facts }]) => [fingerprint, facts])
  return { ...shard, certificates, authorities }
}

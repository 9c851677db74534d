// What a dataplane pod has active, read from what it keeps for a restart. Used by the tests on a cluster.
import { kubectl } from './kubectl.ts'
import { NAMESPACE } from './installation.ts'

/** Prints tenant and hash of each shard of the last commit. */
const READ = `
const lines = require('fs').readFileSync('/tmp/state/last-good.ndjson', 'utf8').split('\\n')
const shards = new Map()
let fresh = new Map()
for (const line of lines) {
  if (line === '') continue
  const { shard, commit } = JSON.parse(line)
  if (shard !== undefined) fresh.set(shard.tenant, shard.hash)
  if (commit === undefined) continue
  for (const tenant of commit.removedTenants) shards.delete(tenant)
  for (const [tenant, hash] of fresh) shards.set(tenant, hash)
  fresh = new Map()
}
console.log(JSON.stringify([...shards]))
`

/** From tenant to hash. */
export function activeShards(pod: string): ReadonlyMap<string, string> {
  const text = kubectl(['exec', '-n', NAMESPACE, pod, '--', '/usr/local/bin/node', '-e', READ])
  return new Map(JSON.parse(text) as [string, string][])
}

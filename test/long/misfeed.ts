// All wrong input there is: every field case, random damage of every example and golden input, and a live controller
// whose files are damaged and mended. usage: node test/long/misfeed.ts [--mutations 1000] [--edits 300] [--seed N]
// exit 1 at the first finding, with what was fed.
import { globSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { startController } from '../../controller/main.ts'
import { createInProcessPublisher } from '../../controller/publish/in-process.ts'
import { createFileSource } from '../../controller/sources/file/file-source.ts'
import { makeCa, makeLeaf } from '../support/certificates.ts'
import { Feeder, SETTINGS } from '../support/misfeed.ts'
import { damage, fieldCases, goodWorld, randomFrom, worldText } from '../support/misfeed-cases.ts'

const { values } = parseArgs({
  options: {
    mutations: { type: 'string', default: '1000' },
    edits: { type: 'string', default: '300' },
    seed: { type: 'string', default: '1' },
  },
})
const seed = Number(values.seed)
const root = join(import.meta.dirname, '..', '..')
const corpus = globSync('{examples,test/golden}/**/*.yaml', { cwd: root }).sort()
const ca = await makeCa()
const leaf = await makeLeaf(ca, { names: ['shop.acme.test'] })
const world = goodWorld({ crt: leaf.certPem, key: leaf.keyPem, ca: ca.pem })
const feeder = new Feeder()

function fail(what: string, error: unknown, text: string): never {
  console.error(`${what}: ${error instanceof Error ? error.stack : String(error)}\n${text.slice(0, 4_000)}`)
  feeder.end()
  process.exit(1)
}

async function feedFields(): Promise<void> {
  await feeder.setBase(worldText(world))
  let cases = 0
  let silent = 0
  for (const each of fieldCases(world)) {
    const text = worldText(each.world)
    const fed = await feeder.feed(text).catch((error: unknown) => fail(each.what, error, text))
    if (each.mustComplain && fed.complaints === 0) fail(each.what, 'nobody complained', text)
    cases++
    if (fed.complaints === 0) silent++
  }
  console.log(
    `fields      ${cases} cases, ${silent} of them acceptable, no crash, every complaint with a reason and a place`,
  )
}

async function feedDamage(): Promise<void> {
  let complaining = 0
  for (let index = 0; index < Number(values.mutations); index++) {
    const random = randomFrom(seed * 1_000_003 + index)
    const file = corpus[random(corpus.length)] ?? ''
    const text = damage(readFileSync(join(root, file), 'utf8'), random)
    const fed = await feeder.feed(text).catch((error: unknown) => fail(`${file}, mutation ${index}`, error, text))
    if (fed.complaints > 0) complaining++
  }
  console.log(`mutations   ${values.mutations} of ${corpus.length} files, ${complaining} complained about, no crash`)
}

/** A live controller over a damaged and mended folder ends where it began, whatever was in between. */
async function liveDamage(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'atrium-misfeed-live-'))
  const put = (text: string) => {
    writeFileSync(join(folder, '.next'), text)
    renameSync(join(folder, '.next'), join(folder, 'world.yaml'))
  }
  const good = worldText(world)
  put(good)
  const warnings: string[] = []
  const controller = await startController({
    source: createFileSource({ folders: [folder] }),
    publisher: createInProcessPublisher((snapshot, sequence) =>
      Promise.resolve({
        pod: 'local',
        sequence,
        version: snapshot.version,
        endpointsRevision: snapshot.endpointsRevision,
        refused: [],
      }),
    ),
    settings: SETTINGS,
    warn: (message, error) => warnings.push(`${message} ${error instanceof Error ? error.stack : String(error)}`),
  })
  const version = () => controller.loop.state()?.result.snapshot.version
  const before = version()
  for (let edit = 0; edit < Number(values.edits); edit++) {
    put(damage(good, randomFrom(seed * 7_919 + edit)))
    await wait(edit % 10 === 0 ? 40 : 2)
  }
  put(good)
  const deadline = performance.now() + 5_000
  while (version() !== before && performance.now() < deadline) await wait(5)
  const cycles = controller.loop.state()?.cycles
  await controller.stop()
  rmSync(folder, { recursive: true, force: true })
  if (warnings.length > 0) fail('live', warnings.join('\n'), '')
  if (version() !== before) fail('live', 'the mended folder gives another snapshot', '')
  console.log(`live        ${values.edits} damaged edits in ${cycles} cycles, mended: the first version again`)
}

await feedFields()
await feedDamage()
await liveDamage()
feeder.end()

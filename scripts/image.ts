// `npm run image`: the image of Atrium as an OCI archive, without a container engine; `-- --root DIR` writes the same
// root file system as a folder (the Dockerfile does). Needs `npm run build` first, and says so.
//   node scripts/run.mjs scripts/image.ts [--name NAME] [--out FILE] [--root DIR]
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { writeImage } from './image/oci.ts'
import { atriumFiles, IMAGE_ENVIRONMENT, IMAGE_PATHS, IMAGE_USER, nodeFiles, packageFiles } from './image/root-files.ts'

const ROOT = resolve(import.meta.dirname, '..')

const { values } = parseArgs({
  options: {
    name: { type: 'string', default: `atrium.local/atrium:${version()}` },
    out: { type: 'string', default: join(ROOT, 'dist', 'image.tar') },
    root: { type: 'string' },
  },
})

process.exitCode = await main()

function version(): string {
  return (JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string }).version
}

async function main(): Promise<number> {
  if (process.platform !== 'linux') {
    console.error(
      'The image is made of this machine’s Node and libraries, so it is made on Linux. Elsewhere: docker build .',
    )
    return 2
  }
  if (!existsSync(join(ROOT, 'dist', 'bin', 'atrium.js'))) {
    console.error('Run `npm run build` first: the image holds what it compiles.')
    return 2
  }
  const layers = [
    { note: `node ${process.version} and its libraries`, entries: nodeFiles(process.execPath) },
    { note: 'packages of the lock file, production only', entries: packageFiles(ROOT) },
    { note: 'atrium', entries: atriumFiles(ROOT) },
  ]
  if (values.root !== undefined) {
    for (const { path, mode, body } of layers.flatMap(({ entries }) => entries)) {
      const target = join(values.root, path)
      mkdirSync(body === undefined ? target : dirname(target), { recursive: true })
      if (body !== undefined) writeFileSync(target, body)
      chmodSync(target, mode)
    }
    console.log(values.root)
    return 0
  }
  mkdirSync(dirname(values.out), { recursive: true })
  const { digest, sizes } = await writeImage(values.out, {
    name: values.name,
    architecture: process.arch === 'arm64' ? 'arm64' : 'amd64',
    layers,
    config: {
      User: `${IMAGE_USER}:${IMAGE_USER}`,
      WorkingDir: IMAGE_PATHS.app,
      Env: [...IMAGE_ENVIRONMENT],
      Entrypoint: [IMAGE_PATHS.node, IMAGE_PATHS.entry],
      Cmd: ['help'],
      ExposedPorts: { '8080/tcp': {}, '8443/tcp': {} },
    },
  })
  const megabytes = (bytes: number) => `${(bytes / 1e6).toFixed(1)} MB`
  for (const [index, { note }] of layers.entries()) {
    console.log(`${megabytes(sizes[index] ?? 0).padStart(9)}  ${note}`)
  }
  console.log(`${values.name} ${digest}\n${values.out}`)
  return 0
}

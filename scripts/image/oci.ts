// An OCI image layout, written as one tar file, from layers of files: what a registry holds, and what container runtimes
// import. The same layers give the same bytes. Part of image.ts.
import { createHash } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { pipeline } from 'node:stream/promises'
import { type TarEntry, tarChunks } from './tar.ts'

/** What to write. */
export interface ImageDescription {
  /** Name and tag, `atrium.local/atrium:1`. */
  readonly name: string
  readonly architecture: 'amd64' | 'arm64'
  /** Lowest first. */
  readonly layers: readonly { readonly note: string; readonly entries: readonly TarEntry[] }[]
  /** The `config` object of the image: entry point, user, environment. */
  readonly config: Readonly<Record<string, unknown>>
}

interface Blob {
  readonly digest: string
  readonly body: Uint8Array
}

/** Writes the layout to `file`. Returns the digest of the image's manifest and the size of each layer in bytes. */
export async function writeImage(
  file: string,
  { name, architecture, layers, config }: ImageDescription,
): Promise<{ readonly digest: string; readonly sizes: readonly number[] }> {
  const layerBlobs = layers.map(({ entries }) => blob(Buffer.concat([...tarChunks(withFolders(entries))])))
  const configBlob = json({
    architecture,
    os: 'linux',
    config,
    rootfs: { type: 'layers', diff_ids: layerBlobs.map(({ digest }) => digest) },
    history: layers.map(({ note }) => ({ created_by: note })),
  })
  const manifestBlob = json({
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    config: descriptor('application/vnd.oci.image.config.v1+json', configBlob),
    layers: layerBlobs.map((layer) => descriptor('application/vnd.oci.image.layer.v1.tar', layer)),
  })
  const index = json({
    schemaVersion: 2,
    manifests: [
      {
        ...descriptor('application/vnd.oci.image.manifest.v1+json', manifestBlob),
        platform: { architecture, os: 'linux' },
        annotations: {
          'io.containerd.image.name': name,
          'org.opencontainers.image.ref.name': name.slice(name.lastIndexOf(':') + 1),
        },
      },
    ],
  })
  const blobs = [...layerBlobs, configBlob, manifestBlob].map(
    ({ digest, body }): TarEntry => ({ path: `blobs/sha256/${digest.slice('sha256:'.length)}`, mode: 0o644, body }),
  )
  const layout: readonly TarEntry[] = [
    { path: 'oci-layout', mode: 0o644, body: Buffer.from('{"imageLayoutVersion":"1.0.0"}') },
    { path: 'index.json', mode: 0o644, body: index.body },
    ...blobs,
  ]
  await pipeline(tarChunks(withFolders(layout)), createWriteStream(file))
  return { digest: manifestBlob.digest, sizes: layerBlobs.map(({ body }) => body.byteLength) }
}

/** The entries in order of their paths, each after the folders above it. */
function withFolders(entries: readonly TarEntry[]): readonly TarEntry[] {
  const all = new Map(entries.map((entry) => [entry.path, entry]))
  for (const { path } of entries) {
    for (let slash = path.indexOf('/'); slash !== -1; slash = path.indexOf('/', slash + 1)) {
      const folder = path.slice(0, slash)
      if (!all.has(folder)) all.set(folder, { path: folder, mode: 0o755 })
    }
  }
  return [...all.values()].sort((a, b) => (a.path < b.path ? -1 : 1))
}

function json(value: unknown): Blob {
  return blob(Buffer.from(JSON.stringify(value)))
}

function blob(body: Uint8Array): Blob {
  return { digest: `sha256:${createHash('sha256').update(body).digest('hex')}`, body }
}

function descriptor(mediaType: string, { digest, body }: Blob) {
  return { mediaType, digest, size: body.byteLength }
}

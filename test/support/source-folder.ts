// A folder with a file source over it, for tests of what files can do: made, watched and removed in one place.
// The tests beside controller/sources/file use it.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createFileSource, type FileSourceOptions } from '../../controller/sources/file/file-source.ts'
import type { SourceState } from '../../controller/sources/source.ts'
import { find, routeRef, WatchedSource } from '../contracts/source.ts'

/** A folder of its own for one test. */
export class SourceFolder {
  readonly path: string
  #watched: WatchedSource | undefined

  private constructor(path: string) {
    this.path = path
  }

  static async make(): Promise<SourceFolder> {
    return new SourceFolder(await mkdtemp(join(tmpdir(), 'atrium-source-')))
  }

  file(...parts: readonly string[]): string {
    return join(this.path, ...parts)
  }

  /** Starts a source over the folder. */
  async start(options: Partial<FileSourceOptions> = {}): Promise<WatchedSource> {
    this.#watched = new WatchedSource(createFileSource({ folders: [this.path], ...options }))
    await this.#watched.start()
    return this.#watched
  }

  /** Problems as `/file:line:column message`, without the name of the folder. */
  problems(state: SourceState): readonly string[] {
    return state.problems.map(({ position, message }) => {
      const file = position?.file.slice(this.path.length)
      return `${file}:${position?.line}:${position?.column} ${message}`
    })
  }

  async end(): Promise<void> {
    await this.#watched?.source.stop()
    await rm(this.path, { recursive: true, force: true })
  }
}

/** A Route in block style. */
export function yamlRoute(name: string, host: string, namespace = 'a'): string {
  return `apiVersion: atrium.dev/v1alpha1
kind: Route
metadata: { namespace: ${namespace}, name: ${name} }
spec:
  hostnames: [${host}]
  rules:
    - backendRefs:
        - { name: web, port: 80 }
`
}

/** The hostnames of a Route of a state, as one text. */
export function hostIn(state: SourceState, name: string, namespace = 'a'): string | undefined {
  const spec = find(state, routeRef(namespace, name))?.body['spec']
  return typeof spec === 'object' && spec !== null && 'hostnames' in spec ? String(spec.hostnames) : undefined
}

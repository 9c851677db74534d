// Reads one file of credentials. in-cluster and kubeconfig call it; its failures name the path and nothing else.
import { readFile } from 'node:fs/promises'
import { ApiFailure, codeOf } from './api-failure.ts'

/** The text of a credential file. */
export async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    throw new ApiFailure('credentials', `cannot read ${path} (${codeOf(error)})`)
  }
}

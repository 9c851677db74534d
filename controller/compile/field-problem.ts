// A problem of a field in the form in which decode words them: the path first. Pure. The prepare passes make these.
import type { FieldProblem } from '../../model/decode.ts'
import { type FieldPath, formatPath } from '../../model/issue.ts'

/** `says` follows the path and ends the sentence. */
export function fieldProblem(path: FieldPath, says: string): FieldProblem {
  return { path, message: `${formatPath(path)} ${says}` }
}

// crds/<plural>.yaml: the CRD of one kind as YAML. Part of generate.ts.
import { stringify } from 'yaml'
import { customResourceDefinition } from '../../model/crd.ts'
import type { CustomKind } from '../../model/custom-kinds.ts'

const HEADER = '# Written by `npm run generate` from model/ and policies/; never edit it.\n'

/** Path and text. */
export function crdFile(kind: CustomKind): readonly [string, string] {
  // Kubernetes reads YAML 1.1, where a bare `yes` or `on` is true: texts that could be taken for one must stand in quotes.
  const body = stringify(customResourceDefinition(kind), {
    version: '1.1',
    aliasDuplicateObjects: false,
    lineWidth: 120,
  })
  return [`crds/${kind.plural}.yaml`, HEADER + body]
}

// A copy of the kind Route under another group, that nobody watches: edits of its objects cost the API server what edits
// of Routes do, and Atrium nothing. The control of 02-propagation.e2e.ts.
import { apply, get, kubectl } from './kubectl.ts'

export const COPY_GROUP = 'copy.test'

/** Makes it, and waits until the API server serves it. */
export function copyRouteKind(): void {
  const { spec } = get<{ readonly spec: { readonly names: object } }>('customresourcedefinition/routes.atrium.dev')
  const names = { ...spec.names, categories: [], shortNames: [] }
  const copy = {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `routes.${COPY_GROUP}` },
    spec: { ...spec, group: COPY_GROUP, names },
  }
  apply(JSON.stringify(copy))
  kubectl(['wait', '--for=condition=Established', `customresourcedefinition/routes.${COPY_GROUP}`, '--timeout=60s'])
}

/** Takes it away, with its objects. */
export function removeCopiedKind(): void {
  kubectl(['delete', '--ignore-not-found', '--wait=false', `customresourcedefinition/routes.${COPY_GROUP}`])
}

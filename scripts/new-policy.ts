// Begins a policy: `npm run new:policy -- apiKeys` writes its folder, with a golden case that fails, and says what comes next.
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { customKinds } from '../model/custom-kinds.ts'
import { schemaNode } from '../model/schema.ts'
import { POLICIES } from '../policies/index.ts'
import { type PolicyNames, policyFiles } from './new-policy/templates.ts'

const USAGE = 'usage: npm run new:policy -- name, where name is as in Policy.spec: apiKeys, cors, bodySize'
/** Words that JavaScript keeps, and would make a file that does not compile. */
const NAME =
  /^(?!(?:default|delete|export|import|new|return|switch|class|function|this|typeof|void|with|enum)$)[a-z][A-Za-z]{1,40}$/

/** The names of a policy, or why it cannot have them. */
export function policyNames(name: string): PolicyNames | string {
  if (!NAME.test(name)) return `"${name}" is no name for a policy.\n${USAGE}`
  const taken = customKinds(POLICIES).flatMap((kind) =>
    kind.kind === 'Policy' ? Object.keys(schemaNode(kind.spec).properties ?? {}) : [],
  )
  if (taken.includes(name)) return `Policy.spec.${name} exists already.`
  const folder = name.replace(/[A-Z]+/g, (capitals) => `-${capitals.toLowerCase()}`)
  return { name, folder, type: name.charAt(0).toUpperCase() + name.slice(1) }
}

/** Writes the files of a policy under `root`. Returns their paths, or why nothing was written. */
export function writePolicy(root: string, names: PolicyNames): readonly string[] | string {
  if (existsSync(join(root, 'policies', names.folder))) return `policies/${names.folder} exists already.`
  const files = policyFiles(names)
  for (const [path, text] of files) {
    mkdirSync(dirname(join(root, path)), { recursive: true })
    writeFileSync(join(root, path), text)
  }
  return [...files.keys()]
}

function nextSteps({ name, folder, type }: PolicyNames): string {
  return `
Next:
  1. policies/index.ts    import { ${name} } from './${folder}/policy.ts', and put ${name} where it belongs in LIST:
                          the list is the order in which a request meets the policies.
  2. policies/filters.ts  import { ${name}Filter } from './${folder}/filter.ts', and add ${name}: ${name}Filter.
  3. policies/${folder}: write what it does: schema.ts, compile.ts, filter.ts; ${type}Config is what travels.
  4. npm run generate     the CRDs and the reference follow the schema.
  5. golden/first         say in requests.yaml what it is there for (the second request fails on purpose), npm run golden.
  6. npm run check && npm test
`
}

if (import.meta.main) {
  const names = policyNames(process.argv[2] ?? '')
  const written = typeof names === 'string' ? names : writePolicy(resolve(import.meta.dirname, '..'), names)
  if (typeof names === 'string' || typeof written === 'string') {
    console.error(written)
    process.exitCode = 2
  } else {
    for (const path of written) console.log(path)
    console.log(nextSteps(names))
  }
}

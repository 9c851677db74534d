// `atrium curl`: one request to the gateway of a cluster that needs no address: a port forwarded to a dataplane pod, the
// Host and the TLS name by itself. Prints what came back, and on stderr which way it went.
import { type Command, Option } from 'commander'
import type { CurlRequest } from '../cluster/curl-request.ts'
import { addClusterFlags } from '../cluster/flags.ts'
import { usageFailure } from '../exit.ts'
import { addCommonFlags, collect, type CommonFlags, flag, headerField } from '../options.ts'
import type { Terminal } from '../terminal.ts'
import { onRun } from './command.ts'

interface CurlFlags extends CommonFlags, Omit<CurlRequest, 'url'> {}

/** Adds the verb to the program. */
export function addCurl(program: Command): void {
  const command = program
    .command('curl')
    .summary('one request through the gateway of a cluster, without its address')
    .argument('<url>', 'such as https://hello.acme.test/')
    .description(
      "Forwards a port to a dataplane pod and sends one request there, with the URL's host as Host and TLS name. The " +
        'certificate is checked as any client would; -k goes on although it does not fit, as for a host that is not ' +
        'public yet. With -v it says which tenant, route, rule and backend answered, from the access log of that pod; ' +
        "where there is no line, what the controller's explain says.",
    )
    .addOption(new Option('-X, --request <method>', 'request method (default: GET, with -d POST)'))
    .addOption(
      new Option('-H, --header <field>', "a header as 'name: value'; repeatable").argParser(
        (text: string, before: readonly unknown[] | undefined) => [...(before ?? []), headerField(text)],
      ),
    )
    .addOption(new Option('-d, --data <text>', 'body; @FILE reads it'))
    .addOption(new Option('-k, --insecure', 'go on although the certificate does not fit'))
    .addOption(new Option('-f, --fail', 'exit 1 where the answer is 400 or above'))
    .addOption(flag('--cacert <file>', 'authorities to believe, PEM; repeatable').argParser(collect((text) => text)))
    .addOption(flag('--pod <name>', 'this dataplane pod (default: one that is ready)'))
  addClusterFlags(command)
  addCommonFlags(command)
  onRun<CurlFlags>(command, runCurl)
}

async function runCurl(flags: CurlFlags, terminal: Terminal, operands: readonly string[]): Promise<number> {
  const [text = ''] = operands
  if (!/^https?:\/\//i.test(text) || !URL.canParse(text)) {
    throw usageFailure(`the URL begins with http:// or https://; ${text} does not.`)
  }
  const { curl } = await import('../cluster/curl.ts')
  return await curl({ ...flags, url: new URL(text) }, terminal)
}

// What the demo starts: which backends, and who asks them how often. Data only; examples/demo has the routes to it.

/** What answers for one endpoint of one Service. */
export interface BackendPlan {
  readonly namespace: string
  readonly service: string
  /** `api-1`: how it names itself in its answers. */
  readonly name: string
  /** Milliseconds over which an answer streams; 0 answers at once. */
  readonly streams: number
}

/** Requests of one tenant's users. */
export interface TrafficPlan {
  readonly tenant: string
  readonly host: string
  readonly paths: readonly string[]
  readonly method: 'GET' | 'POST'
  /** Requests per second, sent whether or not earlier ones were answered. */
  readonly rate: number
}

/**
 * One list is one process: starting one takes as long as reading half the gateway. The one that can be killed is alone,
 * and so is the noisy tenant's, because whoever shares a backend shares its troubles too.
 */
export const BACKENDS: readonly (readonly BackendPlan[])[] = [
  [
    { namespace: 'acme-prod', service: 'api', name: 'api-1', streams: 0 },
    { namespace: 'acme-prod', service: 'web', name: 'web-1', streams: 0 },
    { namespace: 'globex', service: 'ledger', name: 'ledger-1', streams: 0 },
    { namespace: 'hooli-ai', service: 'model', name: 'model-1', streams: 300 },
  ],
  [{ namespace: 'acme-prod', service: 'api', name: 'api-2', streams: 0 }],
  [{ namespace: 'initech', service: 'reports', name: 'reports-1', streams: 0 }],
]

/** The backend that `b` kills: one of acme's two. */
export const FRAGILE = 'api-2'

export const TRAFFIC: readonly TrafficPlan[] = [
  {
    tenant: 'acme',
    host: 'shop.acme.localhost',
    paths: ['/api/orders', '/api/orders/17', '/api/cart', '/'],
    method: 'GET',
    rate: 110,
  },
  {
    tenant: 'globex',
    host: 'api.globex.localhost',
    paths: ['/v1/accounts', '/v1/entries?page=2'],
    method: 'GET',
    rate: 100,
  },
  { tenant: 'hooli-ai', host: 'chat.hooli-ai.localhost', paths: ['/v1/chat/completions'], method: 'POST', rate: 3 },
  {
    tenant: 'initech',
    host: 'reports.initech.localhost',
    paths: ['/tps', '/tps/cover-sheet'],
    method: 'GET',
    rate: 10,
  },
]

/** Ten times the limit of 50/s that examples/demo/initech.yaml sets, if nobody edited it. */
export const NOISY: TrafficPlan = {
  tenant: 'initech',
  host: 'reports.initech.localhost',
  paths: ['/tps'],
  method: 'GET',
  rate: 500,
}

/** What `e` proposes and the banner shows. */
export const SAMPLE_HOST = 'shop.acme.localhost'
export const SAMPLE_PATH = '/api/orders'

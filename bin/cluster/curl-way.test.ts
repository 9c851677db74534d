// What `atrium curl -v` reads out of an access line.
import { expect, test } from 'vitest'
import { lineTexts } from './curl-way.ts'

test('a proxied request names route, rule and the endpoint that answered', () => {
  const line = {
    'atrium.tenant': 'acme',
    'atrium.route_namespace': 'acme-prod',
    'atrium.route': 'shop',
    'atrium.rule': 'api',
    duration_ms: 4.8,
    'atrium.upstream_ms': 3.3,
    'atrium.backend': 'acme-prod/api:8080',
    'atrium.endpoint': '10.1.2.3:8080',
    'http.request.resend_count': 1,
  }
  expect(lineTexts(line)).toEqual([
    'tenant    acme',
    'route     acme-prod/shop, rule api',
    'backend   acme-prod/api:8080 at 10.1.2.3:8080, attempt 2',
    "time      4.8ms in all, 3.3ms of them the backend's",
  ])
})

test('a refusal names the error and what decided', () => {
  const line = {
    'atrium.tenant': 'acme',
    duration_ms: 0.2,
    'error.type': 'RequestRateExceeded',
    'atrium.policy': 'limits.requests',
  }
  expect(lineTexts(line)).toEqual([
    'tenant    acme',
    'answered  by the gateway: RequestRateExceeded (limits.requests); atrium help RequestRateExceeded',
    'time      0.2ms in all',
  ])
  expect(lineTexts({ 'error.type': 'NoHost' })[0]).toBe('tenant    none owns that host')
})

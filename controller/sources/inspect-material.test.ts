// Facts of certificates, keys and bundles, from material that is made anew here, and words for everything that is wrong.
import { X509Certificate } from 'node:crypto'
import { inspect } from 'node:util'
import { beforeAll, describe, expect, test } from 'vitest'
import fc from 'fast-check'
import { makeCa, makeLeaf, type TestCa, type TestLeaf } from '../../test/support/certificates.ts'
import { inspectConfigMap, inspectSecret } from './inspect-material.ts'

const bytes = (text: string) => new TextEncoder().encode(text)

describe('material', () => {
  let ca: TestCa
  let otherCa: TestCa
  let ec: TestLeaf
  let rsa: TestLeaf

  beforeAll(async () => {
    ca = await makeCa('One')
    otherCa = await makeCa('Two')
    ec = await makeLeaf(ca, { names: ['Shop.Example.com', '*.shop.example.com'] })
    rsa = await makeLeaf(ca, { names: ['rsa.example.com'], key: 'RSA' })
  })
  const tls = (crt: string, key: string) => inspectSecret({ 'tls.crt': bytes(crt), 'tls.key': bytes(key) }).certificate

  test('EC and RSA certificates with their keys', () => {
    for (const leaf of [ec, rsa]) {
      const facts = tls(leaf.certPem, leaf.keyPem)
      expect(facts?.problem).toBeUndefined()
      expect(facts?.notBefore).toBe(new X509Certificate(leaf.certPem).validFromDate.getTime())
      expect(facts?.notAfter).toBe(new X509Certificate(leaf.certPem).validToDate.getTime())
      expect(facts?.fingerprint).toMatch(/^[0-9a-f]{64}$/)
    }
    expect(tls(ec.certPem, ec.keyPem)?.names).toEqual(['shop.example.com', '*.shop.example.com'])
  })

  test('the chain is cleaned: text around the blocks goes, the order stays', () => {
    const facts = tls(`subject: me\n${ec.certPem}\n\ncomment\n${ca.pem}\n`, ec.keyPem)
    expect(facts?.problem).toBeUndefined()
    expect(facts?.chainPem.match(/BEGIN CERTIFICATE/g)).toHaveLength(2)
    expect(facts?.chainPem).not.toContain('comment')
    expect(facts?.chainPem).toBe(tls(`${ec.certPem}${ca.pem}`, ec.keyPem)?.chainPem)
    expect(facts?.fingerprint).not.toBe(tls(ec.certPem, ec.keyPem)?.fingerprint)
  })

  test('an ended certificate is a fact, not a problem', async () => {
    const old = await makeLeaf(ca, { names: ['old.test'], notBefore: new Date(0), notAfter: new Date(86_400_000) })
    const facts = tls(old.certPem, old.keyPem)
    expect(facts).toMatchObject({ notBefore: 0, notAfter: 86_400_000 })
    expect(facts?.problem).toBeUndefined()
  })

  test('a common name is no name of a host', async () => {
    const leaf = await makeLeaf(ca, { commonName: 'cn.test' })
    expect(tls(leaf.certPem, leaf.keyPem)?.names).toEqual([])
  })

  test('what is wrong is said in words', () => {
    expect(tls(ec.certPem, rsa.keyPem)?.problem).toBe('tls.key does not belong to the certificate in tls.crt')
    expect(tls(ec.certPem, '')?.problem).toBe('tls.key is missing')
    expect(tls('', ec.keyPem)?.problem).toBe('tls.crt is missing')
    expect(tls('rubbish', ec.keyPem)?.problem).toBe('tls.crt holds no certificate in PEM')
    expect(tls(ec.certPem, 'rubbish')?.problem).toBe('tls.key holds no private key in PEM')
    expect(tls(ec.certPem, ec.certPem)?.problem).toBe('tls.key holds no private key in PEM')
    expect(tls('-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n', ec.keyPem)?.problem).toBe(
      'tls.crt cannot be read: PEM block 1 is no certificate',
    )
    const encrypted = '-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n'
    expect(tls(ec.certPem, encrypted)?.problem).toBe('tls.key is encrypted; store the key without a passphrase')
    expect(inspectSecret({ 'tls.key': bytes(ec.keyPem) }).certificate?.problem).toBe('tls.crt is missing')
    expect(inspectSecret({ password: bytes('x') })).toEqual({})
  })

  test('a key is never printed', () => {
    const material = inspectSecret({ 'tls.crt': bytes(ec.certPem), 'tls.key': bytes(ec.keyPem) })
    const body = ec.keyPem.split('\n')[1] ?? ''
    expect(body.length).toBeGreaterThan(20)
    expect(JSON.stringify(material)).not.toContain(body)
    expect(inspect(material, { depth: 9 })).not.toContain(body)
    expect(material.certificate?.keyPem.reveal()).toBe(ec.keyPem)
  })

  test('bundles: each block an authority, order and repetition without meaning', () => {
    const both = inspectConfigMap({ 'ca.crt': `${ca.pem}\n${otherCa.pem}` }).authorities
    expect(both).toMatchObject({ count: 2 })
    expect(both?.problem).toBeUndefined()
    const turned = inspectConfigMap({ 'ca.crt': `${otherCa.pem}\n${ca.pem}\n${ca.pem}` }).authorities
    expect(turned?.fingerprint).toBe(both?.fingerprint)
    expect(turned?.pem).toBe(both?.pem)
    expect(inspectConfigMap({ 'ca.crt': ca.pem }).authorities?.fingerprint).not.toBe(both?.fingerprint)
    expect(inspectConfigMap({ 'ca.crt': '' }).authorities?.problem).toBe('ca.crt holds no certificate in PEM')
    expect(inspectConfigMap({ 'ca.crt': `${ca.pem}\n${ec.certPem}` }).authorities?.problem).toBe(
      'ca.crt holds a certificate that is no authority (number 2)',
    )
    expect(inspectSecret({ 'ca.crt': bytes(ca.pem) }).authorities?.count).toBe(1)
    expect(inspectConfigMap({ other: 'x' })).toEqual({})
  })

  test('no bytes make it throw', () => {
    const pem = fc.tuple(
      fc.constantFrom(ec.certPem, ec.keyPem, ca.pem, rsa.keyPem, ''),
      fc.nat(),
      fc.nat(255),
      fc.boolean(),
    )
    const mutated = pem.map(([text, at, byte, cut]) => {
      const changed = bytes(text)
      if (changed.length > 0) changed[at % changed.length] = byte
      return cut ? changed.subarray(0, at % (changed.length + 1)) : changed
    })
    fc.assert(
      fc.property(mutated, mutated, mutated, (crt, key, bundle) => {
        const facts = inspectSecret({ 'tls.crt': crt, 'tls.key': key, 'ca.crt': bundle })
        expect(facts.certificate).toBeDefined()
        expect(facts.authorities).toBeDefined()
      }),
      { numRuns: 200 },
    )
  })
})

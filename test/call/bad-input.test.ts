// Bad input: each kind gets the right status in the dialect's own shape, sends nothing, and consumes nothing.

import { request } from 'node:http'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { TRANSPORTS, type Transport } from '../support/client-and-ledger.ts'
import { answerWhole, GatewayFixture } from '../support/gateway.ts'
import type { ProviderScript } from '../support/provider.ts'
import { DIALECT_NAMES, type DialectName, errorIn, requestFor } from './dialect-fixtures.ts'
import { LIMITED_CONFIG, readSettled } from './settlement-checks.ts'

/** One gateway for all tests: none of them may change it. */
let gateway: GatewayFixture
beforeAll(async () => {
  const respond: ProviderScript = (request) => answerWhole(request, { input: 1, output: 1 })
  gateway = await GatewayFixture.open({ config: LIMITED_CONFIG, respond, env: { MAX_BODY_BYTES: '100000' } })
})
afterAll(() => gateway.close())

const transportsAndDialects: [Transport, DialectName][] = TRANSPORTS.flatMap((transport) =>
  DIALECT_NAMES.map((dialect): [Transport, DialectName] => [transport, dialect]),
)
const JSON_TYPE = { 'content-type': 'application/json' }

/** The body of a good request with members added or replaced, each written as it is. */
function bodyWith(dialect: DialectName, members: Readonly<Record<string, string>>): string {
  const good = JSON.parse(requestFor(dialect).body) as Record<string, unknown>
  const texts = Object.entries(good).map(([name, value]): [string, string] => [name, JSON.stringify(value)])
  const all = [...texts.filter(([name]) => !Object.hasOwn(members, name)), ...Object.entries(members)]
  return `{${all.map(([name, text]) => `"${name}":${text}`).join(',')}}`
}

const CAP: Readonly<Record<DialectName, (cap: string) => Readonly<Record<string, string>>>> = {
  openai: (cap) => ({ max_completion_tokens: cap }),
  anthropic: (cap) => ({ max_tokens: cap }),
  gemini: (cap) => ({ generationConfig: `{"maxOutputTokens":${cap}}` }),
}
const LIST: Readonly<Record<DialectName, string>> = { openai: 'messages', anthropic: 'messages', gemini: 'contents' }
const MISSPELLED_FIELDS: Readonly<Record<DialectName, readonly string[]>> = {
  openai: ['Model', 'Max_Tokens', 'MAX_COMPLETION_TOKENS', 'Stream', '\\u004dodel', 'ſtream'],
  anthropic: ['Model', 'Max_tokens', 'STREAM', 'max_to\\u212Aens'],
  gemini: ['Contents', 'GenerationConfig', 'CACHEDCONTENT', 'generation_Config'],
}

async function expectRejected(
  transport: Transport,
  dialect: DialectName,
  init: RequestInit,
  status: number,
  path?: string,
): Promise<string> {
  const before = await readSettled(gateway)
  const asked = { method: 'POST', headers: JSON_TYPE, body: requestFor(dialect).body, ...init }
  const answer = await gateway.client.fetch(transport, path ?? requestFor(dialect).path, asked)
  const text = await answer.text()
  expect([answer.status, text.slice(0, 300)]).toEqual([status, text.slice(0, 300)])
  expect(answer.headers.get('content-type')).toMatch(/^application\/json/)
  expect(await readSettled(gateway)).toEqual(before)
  expect(gateway.provider.received).toHaveLength(0)
  return errorIn(dialect, JSON.parse(text)).message
}

describe.each(transportsAndDialects)('%s, %s:', (transport, dialect) => {
  it.each([
    ['nothing', ''],
    ['an open brace', '{'],
    ['half a document', requestFor('openai').body.slice(0, 30)],
    ['a document and something', `${requestFor('openai').body} {}`],
    ['a list', '[]'],
    ['a word', '"hello"'],
    ['null', 'null'],
    ['single quotes', "{'model':'m'}"],
    ['a trailing comma', '{"model":"m",}'],
    ['a comment', '{/* */"model":"m"}'],
    ['NaN', bodyWith(dialect, { temperature: 'NaN' })],
    ['ten thousand brackets', bodyWith(dialect, { metadata: '['.repeat(10_000) })],
    ['ten thousand brackets, closed again', bodyWith(dialect, { more: '['.repeat(10_000) + ']'.repeat(10_000) })],
    ['ten thousand objects in each other', bodyWith(dialect, { more: '{"a":'.repeat(9_000) + '1'.padEnd(9_001, '}') })],
    ['nested content', bodyWith(dialect, { [LIST[dialect]]: '[{"content":'.repeat(5_000) })],
  ])('a body of %s is 400', (_, body) => expectRejected(transport, dialect, { body }, 400).then(() => {}))

  it('a body that is not UTF-8 is 400', async () => {
    const body = new Uint8Array(Buffer.from(bodyWith(dialect, { more: '"\x80\xfe"' }), 'latin1'))
    expect(await expectRejected(transport, dialect, { body }, 400)).toMatch(/UTF-8/)
  })

  it.each(['-1', '1.5', '1e400', '"100"', '9007199254740993', '1e21', '-0.5', '[1]', '{}', 'true'])(
    'a cap of %s is 400',
    async (cap) => {
      expect(await expectRejected(transport, dialect, { body: bodyWith(dialect, CAP[dialect](cap)) }, 400)).toMatch(
        /max/i,
      )
    },
  )

  it.each(MISSPELLED_FIELDS[dialect])(
    'the field %s, which differs from a known one by case alone, is 400',
    async (name) => {
      expect(await expectRejected(transport, dialect, { body: bodyWith(dialect, { [name]: '1' }) }, 400)).toMatch(
        /Did you mean/,
      )
    },
  )

  it('a field that is there twice is 400', async () => {
    const body = bodyWith(dialect, {}).replace('{', `{"${LIST[dialect]}":[],`)
    expect(await expectRejected(transport, dialect, { body }, 400)).toMatch(/Duplicate/)
  })

  it('a model without a known price is 400', async () => {
    const { path, body } = requestFor(dialect, { model: 'no-such-model' })
    expect(await expectRejected(transport, dialect, { body }, 400, path)).toMatch(/price of no-such-model is not known/)
  })

  it('a model with ten thousand characters is 400', async () => {
    const { path, body } = requestFor(dialect, { model: `sim/${'x'.repeat(10_000)}` })
    const message = await expectRejected(transport, dialect, { body }, 400, path)
    expect(message.length).toBeLessThan(1_000)
  })

  it('a body that is larger than the largest is 413', async () => {
    const body = bodyWith(dialect, { more: `"${'x'.repeat(100_000)}"` })
    expect(await expectRejected(transport, dialect, { body }, 413)).toMatch(/larger than 100000 bytes/)
  })

  it.each([
    'text/plain',
    'application/x-www-form-urlencoded',
    'multipart/form-data; boundary=x',
    'text/html',
    'application/jsonp',
  ])('a content type of %s is 415', (type) =>
    expectRejected(transport, dialect, { headers: { 'content-type': type } }, 415).then(() => {}),
  )

  it.each(['gzip', 'br', 'gzip, identity'])('a body in %s is 415', (encoding) =>
    expectRejected(transport, dialect, { headers: { ...JSON_TYPE, 'content-encoding': encoding } }, 415).then(() => {}),
  )

  it.each(['https://evil.example', 'null', 'http://127.0.0.1.evil.example', 'http://localhost:1'])(
    'a page of %s may not spend: 403',
    (origin) => expectRejected(transport, dialect, { headers: { ...JSON_TYPE, origin } }, 403).then(() => {}),
  )
  it.each(['cross-site', 'same-site'])('a request that a browser says is %s, without an origin', (site) =>
    expectRejected(transport, dialect, { headers: { ...JSON_TYPE, 'sec-fetch-site': site } }, 403).then(() => {}),
  )

  it('__proto__ and its like are fields like any other, and change no object', async () => {
    // Made from pairs: written as a literal, `__proto__` would be no member.
    const odd = Object.fromEntries([
      ['__proto__', '{"polluted":true,"model":"n"}'],
      ['constructor', '{"prototype":{"polluted":true}}'],
      ['toString', '1'],
      ['hasOwnProperty', 'null'],
    ])
    const body = bodyWith(dialect, { ...odd, ...CAP[dialect]('5') })
    expect(body).toContain('"__proto__":')
    const answer = await gateway.client.fetch(transport, requestFor(dialect).path, {
      method: 'POST',
      headers: JSON_TYPE,
      body,
    })
    expect(answer.status).toBe(200)
    expect(gateway.provider.received.splice(0)[0]?.body).toBe(body)
    expect(Object.hasOwn(Object.prototype, 'polluted')).toBe(false)
    await answer.text()
  })

  it.each(['GET', 'PUT', 'DELETE', 'PATCH', 'HEAD', 'OPTIONS'])(
    '%s where calls are made is 404 or 405',
    async (method) => {
      const before = await readSettled(gateway)
      const answer = await gateway.client.fetch(transport, requestFor(dialect).path, { method })
      expect([404, 405]).toContain(answer.status)
      const text = await answer.text()
      if (method !== 'HEAD') errorIn(dialect, JSON.parse(text))
      expect(await readSettled(gateway)).toEqual(before)
    },
  )
})

describe.each(TRANSPORTS)('%s:', (transport) => {
  it.each([
    ['/v1/chat/completions', 'openai', { n: '0' }],
    ['/v1/chat/completions', 'openai', { n: '-1' }],
    ['/v1/chat/completions', 'openai', { n: '1000000' }],
    ['/v1/chat/completions', 'openai', { stream: '"yes"' }],
    ['/v1/chat/completions', 'openai', { stream_options: '"all"' }],
    ['/v1/chat/completions', 'openai', { messages: '"hello"' }],
    ['/v1/chat/completions', 'openai', { model: '7' }],
    ['/v1/chat/completions', 'openai', { model: '""' }],
    ['/v1/messages', 'anthropic', { messages: '{}' }],
    ['/v1/messages', 'anthropic', { model: 'null' }],
    ['/v1beta/models/m:generateContent', 'gemini', { generationConfig: '{"candidateCount":-1}' }],
    ['/v1beta/models/m:generateContent', 'gemini', { generation_config: '{"max_output_tokens":-1}' }],
  ] as const)('%s as %s with %o is 400', (path, dialect, members) =>
    expectRejected(transport, dialect, { body: bodyWith(dialect, members) }, 400, path).then(() => {}),
  )

  it.each([
    '/v1beta/models/..%2f..:generateContent',
    '/v1beta/models/..%2F..%2Fv1%2Fmessages:generateContent',
    '/v1beta/models/%2e%2e%2f%2e%2e:streamGenerateContent',
    '/v1beta/models/m%00:generateContent',
    '/v1beta/models/%zz:generateContent',
    '/v1beta/models/m?x=:generateContent',
    '/v1beta/models/:generateContent',
    '/v1beta/models/m:deleteEverything',
    '/v1beta/models/m:batchGenerateContent',
    '/v1beta/cachedContents',
    '/v1alpha/models/a/b/c:generateContent',
  ])('%s leads nowhere', async (path) => {
    const before = await readSettled(gateway)
    const answer = await gateway.client.fetch(transport, path, {
      method: 'POST',
      headers: JSON_TYPE,
      body: requestFor('gemini', { cap: 5 }).body,
    })
    expect([400, 404]).toContain(answer.status)
    errorIn('gemini', await answer.json())
    expect(await readSettled(gateway)).toEqual(before)
    expect(gateway.provider.received).toHaveLength(0)
  })

  it.each([
    '/v1/files',
    '/v1/batches',
    '/v1/fine_tuning/jobs',
    '/v1/realtime',
    '/v1/chat/completions/',
    '/v1/messages/batches',
    '/v2/chat/completions',
    '/',
  ])('%s is never sent on unmetered', async (path) => {
    const answer = await gateway.client.fetch(transport, path, {
      method: 'POST',
      headers: JSON_TYPE,
      body: requestFor('openai', { cap: 5 }).body,
    })
    expect(answer.status).toBe(404)
    errorIn(path.startsWith('/v1/messages') ? 'anthropic' : 'openai', await answer.json())
    expect(gateway.provider.received).toHaveLength(0)
  })

  it("neither the caller's key nor its headers to us go upstream, wherever they stand", async () => {
    const headers = {
      ...JSON_TYPE,
      authorization: 'Bearer callers-secret',
      'x-api-key': 'callers-secret',
      'x-goog-api-key': 'callers-secret',
      'api-key': 'callers-secret',
      cookie: 'a=callers-secret',
      'x-bursar-user': 'callers-secret',
    }
    for (const dialect of DIALECT_NAMES) {
      const { path, body } = requestFor(dialect, { cap: 5 })
      await (
        await gateway.client.fetch(transport, `${path}?key=callers-secret&key=callers-secret&beta=true`, {
          method: 'POST',
          headers,
          body,
        })
      ).text()
      const [call] = gateway.provider.received.splice(0)
      expect(JSON.stringify([call?.path, call?.headers, call?.body])).not.toContain('callers-secret')
      expect(call?.path).toContain('beta=true')
    }
  })

  it('nor however their names are written', async () => {
    const { path, body } = requestFor('openai', { cap: 5 })
    const secrets = ['Authorization', 'X-API-Key', 'X-Goog-Api-Key', 'Api-Key', 'COOKIE', 'X-Bursar-User']
    const headers = {
      'Content-Type': 'application/json',
      ...Object.fromEntries(secrets.map((name) => [name, 'hidden'])),
    }
    // Not by fetch, which writes them in lower case.
    await new Promise((resolve, reject) => {
      const sent = request(gateway.url + path, { method: 'POST', headers }, (answer) =>
        answer.resume().on('end', resolve),
      )
      sent.on('error', reject).end(body)
    })
    const [call] = gateway.provider.received.splice(0)
    expect(call).toBeDefined()
    expect(JSON.stringify([call?.path, call?.headers, call?.body])).not.toContain('hidden')
  })
})

// Files are counted by their provider before anything is reserved, where the count is one of the call itself. Without such a count,
// the whole context window is reserved.

import { describe, expect, it } from 'vitest'
import { answerWhole, type GatewayFixture, useGateway } from '../support/gateway.ts'
import type { ProviderRequest, ProviderScript } from '../support/provider.ts'
import { waitFor } from '../support/waiting.ts'
import { nanoUsd } from './settlement-checks.ts'

const DEFAULT_CEILING = { MAX_COST_PER_REQUEST: '0.50' }
const JSON_HEADERS = { 'content-type': 'application/json' }
/** A page takes about 2,350 tokens at Anthropic. */
const TEN_PAGES = 23_500
const PDF_BYTES = 'JVBERi0xLjcK'.repeat(2_000)
/** Sonnet 5.5: 2 dollars per million tokens in, 10 out, and a window of a million tokens. */
const CAP = 500
const CAP_NANO_USD = BigInt(CAP) * 10_000n
const WINDOW_NANO_USD = 1_000_000n * 2_000n + CAP_NANO_USD
const COUNTED_NANO_USD = (BigInt(TEN_PAGES) * 2_000n * 11n) / 10n + CAP_NANO_USD

const isCount = ({ path }: ProviderRequest) => /count_?tokens/i.test(path)
const countsOf = (gateway: GatewayFixture) => gateway.provider.received.filter(isCount)

interface Options {
  readonly count?: object
  readonly countStatus?: number
  readonly input?: number
  readonly env?: Readonly<Record<string, string>>
  readonly config?: object
}

/** A provider that counts, and whose answers used `input` tokens. */
function script({ count = { input_tokens: TEN_PAGES }, countStatus = 200, input = 20_000 }: Options): ProviderScript {
  return (request) => {
    if (!isCount(request)) return answerWhole(request, { input, output: 100 })
    request.response.writeHead(countStatus, JSON_HEADERS).end(JSON.stringify(count))
  }
}

/** A gateway with the prices of the file, and the default ceiling of a call. */
function open(options: Options = {}): Promise<GatewayFixture> {
  const { env = {}, config = {} } = options
  return useGateway({ config, env: { ...DEFAULT_CEILING, ...env }, respond: script(options), countsTokens: true })
}

const base64 = { type: 'base64', media_type: 'application/pdf', data: PDF_BYTES }

function post(gateway: GatewayFixture, path: string, body: object, init: RequestInit = {}): Promise<Response> {
  const headers = { ...JSON_HEADERS, 'anthropic-version': '2023-06-01', ...init.headers }
  return gateway.client.fetch('over sockets', path, { ...init, method: 'POST', headers, body: JSON.stringify(body) })
}

const messageWith = (source: object, model = 'claude-sonnet-5-5') => ({
  model,
  max_tokens: CAP,
  messages: [
    {
      role: 'user',
      content: [
        { type: 'document', source },
        { type: 'text', text: 'Sum it up.' },
      ],
    },
  ],
})
const sendPdf = (gateway: GatewayFixture, source: object = base64, init: RequestInit = {}) =>
  post(gateway, '/v1/messages', messageWith(source), init)

const contentsWith = (part: object) => ({
  contents: [{ role: 'user', parts: [part, { text: 'Sum it up.' }] }],
  generationConfig: { maxOutputTokens: CAP },
})
const inlinePdf = { inlineData: { mimeType: 'application/pdf', data: PDF_BYTES } }
const sendGemini = (gateway: GatewayFixture, part: object = inlinePdf, more: object = {}) =>
  post(gateway, '/v1beta/models/gemini-3.5-flash-lite:generateContent', { ...contentsWith(part), ...more })

const openaiFile = { type: 'file', file: { filename: 'a.pdf', file_data: `data:application/pdf;base64,${PDF_BYTES}` } }
const sendOpenai = (gateway: GatewayFixture, model: string, init: RequestInit = {}) =>
  post(
    gateway,
    '/v1/chat/completions',
    { model, max_completion_tokens: CAP, messages: [{ role: 'user', content: [openaiFile] }] },
    init,
  )

async function onlyEntry(gateway: GatewayFixture) {
  const [entry, ...others] = await gateway.ledger.holds(1)
  if (!entry || others.length > 0) throw new Error(`${others.length + 1} entries in place of one`)
  return entry
}

const reservedNanoUsd = async (gateway: GatewayFixture) => (await onlyEntry(gateway)).facts.reservedCostNanoUsd
const messageOf = async (answer: Response) =>
  ((await answer.json()) as { error: { message: string } }).error.message.replace(/ \(.*/, '')

describe('a PDF of ten pages for Claude Sonnet 5.5', () => {
  it.each([
    ['in the request', base64],
    ['uploaded before', { type: 'file', file_id: 'file_011' }],
    ['in blocks', { type: 'content', content: [{ type: 'image', source: base64 }] }],
  ])('%s passes at the default ceiling, and reserves what its count says', async (_what, source) => {
    const gateway = await open()
    const answer = await sendPdf(gateway, source, { headers: { 'anthropic-beta': 'files-api-2025-04-14' } })
    expect(answer.status).toBe(200)
    expect(await reservedNanoUsd(gateway)).toBe(COUNTED_NANO_USD)
    const [count, ...others] = countsOf(gateway)
    expect([count?.json.messages, count?.headers['anthropic-beta']]).toEqual([
      messageWith(source).messages,
      'files-api-2025-04-14',
    ])
    expect(others).toHaveLength(0)
  })

  it.each([
    ['behind a URL', messageWith({ type: 'url', url: 'https://example.com/a.pdf' })],
    ['in a source of no known kind', messageWith({ type: 'new', data: PDF_BYTES })],
    [
      'beside a page behind a URL',
      messageWith({ type: 'content', content: [{ type: 'image', source: { type: 'url' } }] }),
    ],
    ['beside a thread that goes on', { ...messageWith(base64), thread: { type: 'continue' } }],
  ])('%s needs the window, and is not counted', async (_what, body) => {
    const gateway = await open()
    const answer = await post(gateway, '/v1/messages', body)
    expect(answer.status).toBe(429)
    expect(await messageOf(answer)).toContain('needs up to $2.005')
    expect(gateway.provider.received).toHaveLength(0)
    expect(await gateway.ledger.entries()).toHaveLength(0)
  })

  it('beside a hosted tool needs the window, and is not counted', async () => {
    const gateway = await open()
    const tools = [{ type: 'web_search_20250305', name: 'web_search' }]
    expect((await post(gateway, '/v1/messages', { ...messageWith(base64), tools })).status).toBe(429)
    expect(gateway.provider.received).toHaveLength(0)
  })

  it.each([
    [
      500,
      { 'x-should-retry': null, 'retry-after': '2' },
      'did not count the files in time. Please try again in a moment.',
    ],
    [
      404,
      { 'x-should-retry': 'false', 'retry-after': null },
      'the provider did not count the files. Waiting does not help',
    ],
  ])('needs the window if the count fails with %s', async (countStatus, headers, text) => {
    const gateway = await open({ countStatus })
    const answer = await sendPdf(gateway)
    expect(answer.status).toBe(429)
    expect(Object.fromEntries(Object.keys(headers).map((name) => [name, answer.headers.get(name)]))).toEqual(headers)
    expect(await messageOf(answer)).toContain(text)
    expect(gateway.provider.received).toHaveLength(1)
    expect(await gateway.ledger.entries()).toHaveLength(0)
    expect((await gateway.ledger.level('max_cost_per_request')).free).toBe(0.5)
  })

  it('reserves the window if the count fails and the window fits', async () => {
    const gateway = await open({ countStatus: 500, env: { MAX_COST_PER_REQUEST: '5' } })
    expect((await sendPdf(gateway)).status).toBe(200)
    expect(await reservedNanoUsd(gateway)).toBe(WINDOW_NANO_USD)
  })

  it('reserves no more than the window, whatever the count says', async () => {
    const gateway = await open({ count: { input_tokens: 50_000_000 }, env: { MAX_COST_PER_REQUEST: '5' } })
    expect((await sendPdf(gateway)).status).toBe(200)
    expect(await reservedNanoUsd(gateway)).toBe(WINDOW_NANO_USD)
  })

  it('is settled in full if it used more than its count, and the model is quoted higher from then on', async () => {
    const gateway = await open({ count: { input_tokens: 1_000 }, input: 30_000 })
    expect((await sendPdf(gateway)).status).toBe(200)
    const { outcome, facts } = await onlyEntry(gateway)
    expect(facts.reservedCostNanoUsd).toBe(1_100n * 2_000n + CAP_NANO_USD)
    expect(outcome?.cost.totalNanoUsd).toBe(30_000n * 2_000n + 100n * 10_000n)
    expect((await sendPdf(gateway)).status).toBe(200)
    const [second] = await gateway.ledger.holds(2)
    expect(second?.facts.reservedCostNanoUsd).toBeGreaterThan(50_000_000n)
  })

  it('is counted if tokens are limited, and not if neither they nor money are', async () => {
    const unlimited = { MAX_COST_PER_REQUEST: '' }
    const free = await open({ env: unlimited })
    expect((await sendPdf(free)).status).toBe(200)
    expect(countsOf(free)).toHaveLength(0)

    const limited = await open({ env: { ...unlimited, MAX_TOKENS_PER_MINUTE: '100000' } })
    expect((await sendPdf(limited)).status).toBe(200)
    // The count itself, and the cap: a limit on tokens reserves an estimate.
    expect((await onlyEntry(limited)).facts.reservedTokens).toBe(TEN_PAGES + CAP)
  })

  it('without a cap gets one from what the count leaves', async () => {
    const gateway = await open()
    const { max_tokens: _, ...body } = messageWith(base64)
    const answer = await post(gateway, '/v1/messages', body)
    expect(answer.status).toBe(200)
    expect(Number(answer.headers.get('x-bursar-max-output-tokens'))).toBeGreaterThan(40_000)
    expect(await reservedNanoUsd(gateway)).toBeLessThanOrEqual(500_000_000n)
  })

  it.each([
    ['requests', { MAX_REQUESTS_PER_MINUTE: '1' }, 'requests_per_minute'],
    ['money', { DAILY_SPENDING_LIMIT: '0.06' }, 'daily_spending_limit'],
  ])('is not counted once there are no %s left even without it, and the refusal says so', async (_what, env, limit) => {
    const gateway = await open({ env, input: 25_000 })
    expect((await sendPdf(gateway)).status).toBe(200)
    await gateway.ledger.holds(1)
    const cap = limit === 'daily_spending_limit' ? 2_000 : CAP
    const answer = await post(gateway, '/v1/messages', { ...messageWith(base64), max_tokens: cap })
    expect(answer.status).toBe(429)
    expect(await messageOf(answer)).toContain(`: ${limit}.`)
    expect(countsOf(gateway)).toHaveLength(1)
  })

  it('fifty at once: all pass, and what is reserved and settled stays within the limit', async () => {
    const gateway = await open({ env: { DAILY_SPENDING_LIMIT: '10' } })
    const answers = await Promise.all(Array.from({ length: 50 }, () => sendPdf(gateway)))
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200))
    const entries = await gateway.ledger.holds(50)
    expect(new Set(entries.map(({ facts }) => facts.reservedCostNanoUsd))).toEqual(new Set([COUNTED_NANO_USD]))
  })

  it('fifty at once, with money for ten: no more than fit are sent', async () => {
    const gateway = await open({ env: { DAILY_SPENDING_LIMIT: '0.57' } })
    const hold = Promise.withResolvers<void>()
    gateway.provider.says(async (request) => {
      if (isCount(request)) return script({})(request)
      await hold.promise
      return script({})(request)
    })
    let refused = 0
    const asked = Array.from({ length: 50 }, async () => {
      const { status } = await sendPdf(gateway)
      if (status === 429) refused++
      return status
    })
    await waitFor(() => refused === 40)
    const { reserved, capacity } = await gateway.ledger.level('daily_spending_limit')
    expect(reserved).toBeLessThanOrEqual(capacity)
    hold.resolve()
    const statuses = await Promise.all(asked)
    expect(statuses.filter((status) => status === 200)).toHaveLength(10)
    expect(await gateway.ledger.holds(10)).toHaveLength(10)
  })

  it('leaves nothing reserved if its client leaves while it is counted', async () => {
    const gateway = await open({ env: { DAILY_SPENDING_LIMIT: '10' } })
    const counting = Promise.withResolvers<void>()
    gateway.provider.says(async (request) => {
      if (isCount(request)) await counting.promise
      return script({})(request)
    })
    const leaving = new AbortController()
    const asked = sendPdf(gateway, base64, { signal: leaving.signal }).catch(() => undefined)
    await waitFor(() => countsOf(gateway).length === 1)
    await gateway.untilClientGone('over sockets', () => leaving.abort())
    await asked
    counting.resolve()
    const entry = await onlyEntry(gateway)
    expect([entry.outcome?.ending, entry.outcome?.cost.totalNanoUsd]).toEqual(['canceled', 0n])
    expect(gateway.provider.received.filter((request) => !isCount(request))).toHaveLength(0)
    expect(await gateway.ledger.level('daily_spending_limit')).toMatchObject({ settled: 0, reserved: 0 })
  })

  it('is waited for by a gateway that stops while it is counted', async () => {
    const gateway = await open()
    const counting = Promise.withResolvers<void>()
    gateway.provider.says(async (request) => {
      if (isCount(request)) await counting.promise
      return script({})(request)
    })
    const asked = sendPdf(gateway)
    await waitFor(() => countsOf(gateway).length === 1)
    const stopped = gateway.app.close(10_000)
    expect((await sendPdf(gateway)).status).toBe(503)
    setTimeout(counting.resolve, 50)
    expect((await asked).status).toBe(200)
    await stopped
  })

  it('is made once under its idempotency key, also while it is counted', async () => {
    const gateway = await open()
    const counting = Promise.withResolvers<void>()
    gateway.provider.says(async (request) => {
      if (isCount(request)) await counting.promise
      return script({})(request)
    })
    const headers = { 'idempotency-key': 'the key' }
    const asked = sendPdf(gateway, base64, { headers })
    await waitFor(() => countsOf(gateway).length === 1)
    expect((await sendPdf(gateway, base64, { headers })).status).toBe(409)
    counting.resolve()
    expect((await asked).status).toBe(200)
    expect(countsOf(gateway)).toHaveLength(1)
  })

  it('is estimated without a request to the provider: the estimate is the window, and says that a count comes first', async () => {
    const gateway = await open()
    const estimate = async (source: object): Promise<unknown> =>
      (await post(gateway, '/llm/estimate?path=/v1/messages', messageWith(source))).json()
    expect(await estimate(base64)).toMatchObject({ fits: false, cost_usd: 2.005, counted_first: true })
    expect(await estimate({ type: 'url', url: 'https://x' })).toMatchObject({ cost_usd: 2.005, counted_first: false })
    expect(gateway.provider.received).toHaveLength(0)
  })
})

describe('a file for Gemini', () => {
  const count = {
    totalTokens: 2_600,
    promptTokensDetails: [
      { modality: 'TEXT', tokenCount: 20 },
      { modality: 'DOCUMENT', tokenCount: 2_580 },
    ],
  }
  const stored = (fileUri: string) => ({ fileData: { mimeType: 'application/pdf', fileUri } })

  it.each([
    ['in the request', inlinePdf],
    ['uploaded before', stored('https://generativelanguage.googleapis.com/v1beta/files/abc-123')],
    ['uploaded before, by its name', stored('files/abc-123')],
  ])('%s reserves the count: each page of 258 tokens as the largest image', async (_what, part) => {
    const gateway = await open({ count })
    expect((await sendGemini(gateway, part)).status).toBe(200)
    const { facts } = await onlyEntry(gateway)
    const { input, output } = { input: 22 + 2_580 * 17, output: CAP }
    const price = gateway.app.prices?.find('gemini', 'gemini-3.5-flash-lite', Date.now()).price?.steps[0].rates
    expect(facts.reservedCostNanoUsd).toBe(
      (BigInt(input) * (price?.input ?? 0n) + BigInt(output) * (price?.output ?? 0n)) / 1_000_000n,
    )
    const { generateContentRequest } = JSON.parse(countsOf(gateway)[0]?.body ?? '{}')
    expect(generateContentRequest).toEqual({ model: 'models/gemini-3.5-flash-lite', ...contentsWith(part) })
  })

  it.each<[string, object, object]>([
    ['behind a URL', stored('https://example.com/a.pdf'), {}],
    ['in a bucket', stored('gs://bucket/a.pdf'), {}],
    ['on another path of Google', stored('https://generativelanguage.googleapis.com/v1beta/files/a?x=1'), {}],
    ['with frames per second', { inlineData: { mimeType: 'video/mp4', data: 'AAAA' }, videoMetadata: { fps: 24 } }, {}],
    ['beside stored context', inlinePdf, { cachedContent: 'cachedContents/x' }],
  ])('%s needs the window, and is not counted', async (_what, part, more) => {
    const gateway = await open({ count, env: { MAX_COST_PER_REQUEST: '0.10' } })
    expect((await sendGemini(gateway, part, more)).status).toBe(429)
    expect(gateway.provider.received).toHaveLength(0)
  })
})

describe("a file in OpenAI's dialect", () => {
  it('is counted in the dialect of the target it is translated for', async () => {
    const anthropic = await open()
    expect((await sendOpenai(anthropic, 'claude-sonnet-5-5')).status).toBe(200)
    expect(await reservedNanoUsd(anthropic)).toBe(COUNTED_NANO_USD)
    expect(countsOf(anthropic)[0]?.body).toContain('"type":"document"')

    const gemini = await open({ count: { totalTokens: 2_600 }, env: { MAX_COST_PER_REQUEST: '0.10' } })
    expect((await sendOpenai(gemini, 'gemini-3.5-flash-lite')).status).toBe(200)
    expect(countsOf(gemini)[0]?.body).toContain('"inlineData"')
  })

  it.each([
    ['anthropic', 'claude-sonnet-5-5', 'x-api-key'],
    ['gemini', 'gemini-3.5-flash-lite', 'x-goog-api-key'],
  ])("is counted with the caller's own key, where %s reads it", async (provider, model, header) => {
    const config = { providers: { [provider]: { callerKeys: 'forward' } } }
    const gateway = await open({ config })
    const answer = await sendOpenai(gateway, model, {
      headers: { authorization: 'Bearer sk-of-the-caller-0123456789' },
    })
    expect(answer.status).toBe(200)
    const [count] = countsOf(gateway)
    expect([count?.headers[header], count?.headers.authorization]).toEqual(['sk-of-the-caller-0123456789', undefined])
  })

  it('needs the window at OpenAI, which publishes no bound of a page', async () => {
    const gateway = await open()
    const answer = await sendOpenai(gateway, 'gpt-6-sol')
    expect(answer.status).toBe(429)
    expect(await messageOf(answer)).toContain('the size of its files or of stored context is not known')
    expect(gateway.provider.received).toHaveLength(0)
  })
})

describe('a route with several targets', () => {
  const aliases = {
    mixed: ['anthropic/claude-sonnet-5-5', 'openai/gpt-6-sol'],
    thrifty: { targets: ['openai/gpt-6-sol', 'anthropic/claude-sonnet-5-5'], onBudget: 'cheaper', retries: 0 },
    unknown: ['anthropic/claude-sonnet-5-5', 'openai/gpt-of-no-known-price'],
    twice: { targets: ['anthropic/claude-sonnet-5-5', 'anthropic/claude-sonnet-5-5'], retries: 0 },
    counted: { targets: ['anthropic/claude-sonnet-5-5', 'gemini/gemini-3.5-flash-lite'], retries: 0 },
  }

  it('keeps the window for a target that cannot count, and counts nothing that cannot fit', async () => {
    const gateway = await open({ config: { aliases } })
    expect((await sendOpenai(gateway, 'mixed')).status).toBe(429)
    expect(gateway.provider.received).toHaveLength(0)
  })

  it('leaves that target out if it may', async () => {
    const gateway = await open({ config: { aliases } })
    const answer = await sendOpenai(gateway, 'thrifty')
    expect([answer.status, answer.headers.get('x-bursar-target')]).toEqual([200, 'anthropic/claude-sonnet-5-5'])
    expect(await reservedNanoUsd(gateway)).toBe(COUNTED_NANO_USD)
  })

  it('is counted beside a fallback that cannot be quoted', async () => {
    const gateway = await open({ config: { aliases } })
    const answer = await sendOpenai(gateway, 'unknown')
    expect([answer.status, countsOf(gateway).length]).toEqual([200, 1])
  })

  it('tries a target as often as the route names it', async () => {
    const gateway = await open({ config: { aliases } })
    gateway.provider.says((request) => {
      if (isCount(request)) return script({})(request)
      request.response.writeHead(503, JSON_HEADERS).end('{}')
    })
    expect((await sendOpenai(gateway, 'twice')).status).toBe(503)
    expect(gateway.provider.received.filter((request) => !isCount(request))).toHaveLength(2)
  })

  it('falls back with the count of the fallback', async () => {
    const gateway = await open({ config: { aliases } })
    gateway.provider.says((request) => {
      const count = request.dialect === 'gemini' ? { totalTokens: 2_600 } : { input_tokens: TEN_PAGES }
      if (isCount(request) || request.dialect === 'gemini') return script({ count })(request)
      request.response.writeHead(503, JSON_HEADERS).end('{}')
    })
    const answer = await sendOpenai(gateway, 'counted')
    expect([answer.status, answer.headers.get('x-bursar-target')]).toEqual([200, 'gemini/gemini-3.5-flash-lite'])
    expect(nanoUsd(Number((await gateway.ledger.level('max_cost_per_request')).free))).toBe(500_000_000n)
    expect((await onlyEntry(gateway)).facts.reservedCostNanoUsd).toBeLessThan(100_000_000n)
  })
})

// Refusals by client: status, headers and body of each kind of refusal for each client, and what the client does about them.

import { describe, expect, test } from 'vitest'
import { PRICE, type ReportedUsage, requestFor } from '../../call/dialect-fixtures.ts'
import { ManualClock } from '../../support/clocks.ts'
import { answerWhole, type GatewayFixture, type GatewayFixtureOptions, useGateway } from '../../support/gateway.ts'
import { waitFor } from '../../support/waiting.ts'
import { REFUSAL_CLIENTS, type RefusalAnswer, type RefusalClient } from './clients.ts'

const USED: ReportedUsage = { input: 20, output: 10 }

interface Kind {
  readonly limits: object
  readonly model?: string
  /** Whether calls before it use the limit up. */
  readonly before?: 'answered' | 'held'
}

/** How a call comes to each kind of refusal. */
const KINDS = {
  time: { limits: { requestsPerMinute: 2 }, before: 'answered' },
  long: { limits: { requestsPerDay: 1 }, before: 'answered' },
  flight: { limits: { inFlight: 1 }, before: 'held' },
  never: { limits: { costPerCall: '0.000001' } },
  size: { limits: { tokensPerCall: 10 } },
  money: { limits: { costPerDay: '0.0032' }, before: 'answered' },
  price: { limits: { costPerDay: '1.00' }, model: 'nobody-knows-this-model' },
} as const satisfies Readonly<Record<string, Kind>>
type KindName = keyof typeof KINDS

function bodyOf({ dialect }: RefusalClient, model: string) {
  if (dialect !== 'responses') return requestFor(dialect, { model, cap: 300 })
  return { path: '/v1/responses', body: JSON.stringify({ model, input: 'hello', max_output_tokens: 300 }) }
}

async function asks(gateway: GatewayFixture, client: RefusalClient, model = 'm'): Promise<RefusalAnswer> {
  const { path, body } = bodyOf(client, model)
  const headers = { 'content-type': 'application/json', ...client.headers }
  const response = await gateway.client.fetch('in process', path, { method: 'POST', headers, body })
  return { status: response.status, headers: response.headers, text: await response.text() }
}

/** A gateway that refuses the next call for this reason. */
async function refusingGateway(name: KindName, options: GatewayFixtureOptions = {}, who = 'global', user = 'ann') {
  const { limits, before }: Kind = KINDS[name]
  const gateway = await useGateway({
    clock: new ManualClock(),
    config: { prices: [PRICE], limits: { [who]: limits } },
    respond:
      before === 'held'
        ? () => {}
        : (call) => answerWhole(call, name === 'money' ? { input: 40, output: 1_450 } : USED),
    ...options,
  })
  const ask = () =>
    gateway.client.asks('openai', { cap: name === 'money' ? 1_450 : 1 }, { headers: { 'x-bursar-user': user } })
  if (before === 'answered') for (let call = 0; call < (name === 'time' ? 2 : 1); call++) await (await ask()).text()
  if (before === 'held') {
    void ask().then((answer) => answer.text())
    await waitFor(() => gateway.provider.received.length === 1)
  }
  return gateway
}

/** Status and reaction. */
const TABLE = `
               time       long         flight     never      size       money      price
  Claude Code  429 waits  429 stops    429 waits  429 stops  429 stops  429 stops  400 repeats
  Codex        429 waits  429 repeats  429 waits  400 stops  400 stops  400 stops  400 stops
  Gemini CLI   429 waits  429 stops    429 waits  429 stops  429 stops  429 stops  400 stops
  opencode     429 waits  429 repeats  429 waits  402 stops  402 stops  402 stops  400 stops
  aider        429 repeats  429 repeats  429 repeats  429 repeats  429 repeats  429 repeats  400 stops
  llm          429 waits  429 stops    429 waits  429 stops  429 stops  429 stops  400 stops
  openai       429 waits  429 stops    429 waits  429 stops  429 stops  429 stops  400 stops
  anthropic    429 waits  429 stops    429 waits  429 stops  429 stops  429 stops  400 stops
  google-genai  429 stops  429 stops    429 stops  429 stops  429 stops  429 stops  400 stops
  LangChain    429 waits  429 stops    429 waits  429 stops  429 stops  429 stops  400 stops
  AI SDK       429 waits  429 repeats  429 waits  429 repeats  429 repeats  429 repeats  400 stops
  Mastra       429 stops  429 stops    429 stops  429 stops  429 stops  429 stops  400 stops
  LlamaIndex   429 waits  429 repeats  429 waits  429 repeats  429 repeats  429 repeats  400 stops
`

/** With MONEY_REFUSAL=400: what differs. */
const WITH_400 = `
               time       long         flight     never      size       money      price
  Claude Code  429 waits  429 stops    429 waits  402 stops  402 stops  402 stops  400 repeats
  aider        429 repeats  429 repeats  429 repeats  400 stops  400 stops  400 stops  400 stops
  anthropic    429 waits  429 stops    429 waits  402 stops  402 stops  402 stops  400 stops
  AI SDK       429 waits  429 repeats  429 waits  400 stops  400 stops  400 stops  400 stops
  LlamaIndex   429 waits  429 repeats  429 waits  400 stops  400 stops  400 stops  400 stops
`

type Row = readonly [client: RefusalClient, cells: Readonly<Record<string, string>>]

function rowsOf(table: string): readonly Row[] {
  const [kinds = [], ...lines] = table
    .trim()
    .split('\n')
    .map((line) => line.trim().split(/\s{2,}/))
  return lines.map(([name = '', ...cells]) => {
    const client = REFUSAL_CLIENTS.find((row) => row.name === name)
    if (!client) throw new Error(`There is no client ${name}.`)
    return [client, Object.fromEntries(kinds.map((kind, index) => [kind, cells[index] ?? '']))]
  })
}

const SHORT_WAITS: Partial<Record<KindName, string>> = { time: '30', flight: '2' }

describe.each(Object.keys(KINDS) as KindName[])('of the kind %s', (kind) => {
  test.each([
    ['auto', TABLE],
    ['400', WITH_400],
  ])(
    'with MONEY_REFUSAL=%s, each client gets the status that it reacts to as the table says',
    async (setting, table) => {
      const gateway = await refusingGateway(kind, { env: { MONEY_REFUSAL: setting } })
      const { model = 'm' }: Kind = KINDS[kind]
      for (const [client, cells] of rowsOf(table)) {
        const answer = await asks(gateway, client, model)
        expect(`${answer.status} ${client.reactsTo(answer)}`, client.name).toBe(cells[kind])
        expect(answer.headers.get('retry-after'), client.name).toBe(SHORT_WAITS[kind] ?? null)
        expect(answer.headers.get('retry-after-ms') === null).toBe(SHORT_WAITS[kind] === undefined)
        expect(answer.headers.get('x-should-retry')).toBe(kind in SHORT_WAITS || kind === 'price' ? null : 'false')
      }
    },
  )

  test.each(['429', '402', '400'])('with MONEY_REFUSAL=%s, every client gets the same', async (setting) => {
    const gateway = await refusingGateway(kind, { env: { MONEY_REFUSAL: setting } })
    const { model = 'm' }: Kind = KINDS[kind]
    const isShaped = ['never', 'size', 'money'].includes(kind)
    for (const client of REFUSAL_CLIENTS) {
      const { status, text } = await asks(gateway, client, model)
      const named = setting === '400' && client.dialect === 'anthropic' ? 402 : Number(setting)
      expect(status, client.name).toBe(isShaped ? named : kind === 'price' ? 400 : 429)
      const { error } = JSON.parse(text)
      if (client.dialect === 'gemini') expect(error.code).toBe(status)
      if (!isShaped || status === 429) continue
      if (client.dialect === 'gemini') expect(error.status).toBe('FAILED_PRECONDITION')
      else if (client.dialect === 'anthropic') expect(error.type).toBe('billing_error')
      else expect(error).toMatchObject({ code: 'insufficient_quota', type: 'insufficient_quota' })
    }
  })
})

test('a row stands for every client', () => {
  expect(rowsOf(TABLE).map(([{ name }]) => name)).toEqual(REFUSAL_CLIENTS.map(({ name }) => name))
})

function clientNamed(name: string): RefusalClient {
  const client = REFUSAL_CLIENTS.find((row) => row.name === name)
  if (!client) throw new Error(`There is no client ${name}.`)
  return client
}

/** A client that no row of the agents' table knows. */
const PLAIN = { ...clientNamed('opencode'), headers: {} }

describe('the text of a refusal', () => {
  test.each([
    ['never', 'Waiting does not help'],
    ['money', 'It fits in 12 h.'],
  ] as const)('of the kind %s names the limit, its subject, and the words that hold it', async (kind, advice) => {
    const gateway = await refusingGateway(kind, {}, 'perUser')
    const user = { ...PLAIN, headers: { 'x-bursar-user': 'ann' } }
    const { message, details } = JSON.parse((await asks(gateway, user)).text).error
    const name = kind === 'never' ? 'max_cost_per_request' : 'daily_spending_limit'
    const word = kind === 'never' ? 'costPerCall' : 'costPerDay'
    expect(message).toMatch(
      new RegExp(`^Spending limit reached: ${name}\\. .*the limit of user \\(none\\)/ann is \\$0`),
    )
    expect(message).toContain(advice)
    expect(message).toMatch(
      new RegExp(
        ` This limit is set by "${word}" of "perUser" in bursar\\.json\\.( An output cap of \\d+ tokens would fit\\.)?$`,
      ),
    )
    expect(details).toMatchObject({ subject: 'user:(none)/ann', retry_after_ms: kind === 'never' ? null : 43_200_000 })
    expect(details.resets_at).toBe(
      kind === 'never' ? null : new Date(gateway.clock.now().wallMs + 43_200_000).toISOString(),
    )
  })

  test('names the setting that holds a limit, and the stricter of two that hold the same', async () => {
    const env = { MAX_COST_PER_REQUEST: '0.0000001' }
    const looser = await refusingGateway('never', { env })
    expect((await asks(looser, PLAIN)).text).toContain('This global limit is set by MAX_COST_PER_REQUEST.')
    const stricter = await refusingGateway('never', { env: { MAX_COST_PER_REQUEST: '0.5' } })
    expect((await asks(stricter, PLAIN)).text).toContain('set by \\"costPerCall\\" of \\"global\\" in bursar.json.')
  })

  test('tells the user of Claude Code which value would fit, and that value fits', async () => {
    const gateway = await useGateway({
      config: { prices: [PRICE], limits: { global: { costPerCall: '0.01' } } },
      respond: (call) => answerWhole(call, USED),
    })
    const { headers } = clientNamed('Claude Code')
    const refused = await gateway.client.asks('anthropic', { cap: 7_000 }, { headers })
    expect(refused.status).toBe(429)
    const { message } = ((await refused.json()) as { error: { message: string } }).error
    const cap = Number(/CLAUDE_CODE_MAX_OUTPUT_TOKENS=(\d+)\./.exec(message)?.[1])
    expect((await gateway.client.asks('anthropic', { cap }, { headers })).status).toBe(200)
    expect((await gateway.client.asks('anthropic', { cap: cap + 1 }, { headers })).status).toBe(429)
    expect(gateway.provider.received.map(({ body }) => JSON.parse(body).max_tokens)).toEqual([cap])
  })

  test('tells the user of Codex how to turn its web search off, if that is what does not fit', async () => {
    const { headers } = clientNamed('Codex')
    const ask = (gateway: GatewayFixture, tools: readonly object[], agent: object = headers) =>
      gateway.client.fetch('in process', '/v1/responses', {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...agent },
        body: JSON.stringify({ model: 'm', input: 'hello', tools, max_output_tokens: 20 }),
      })
    const search = [{ type: 'web_search', external_web_access: false }]
    const limits = { global: { costPerCall: '0.05' } }
    const gateway = await useGateway({
      config: { prices: [PRICE], limits },
      respond: (call) => answerWhole(call, USED),
    })
    expect((await ask(gateway, [])).status).toBe(200)
    const refused = await ask(gateway, search)
    expect(refused.status).toBe(400)
    const text = await refused.text()
    expect(text).toContain('because nothing bounds what web_search costs.')
    expect(text).toContain('put web_search = \\"disabled\\" into Codex\'s config.toml.')
    expect(await (await ask(gateway, search, {})).text()).not.toContain('config.toml')
    const wide = await useGateway({
      config: { prices: [PRICE], limits: { global: { costPerCall: '5' } } },
      respond: (call) => answerWhole(call, USED),
    })
    expect((await ask(wide, search)).status).toBe(200)
    const strict = await useGateway({ env: { UNBOUNDED_CALLS: 'refuse' } })
    expect(await (await ask(strict, search)).text()).toContain('web_search = \\"disabled\\"')
  })
})

describe('opencode, which looks for digits and words in the whole answer,', () => {
  const opencode = clientNamed('opencode')
  const withUser = (user: string): RefusalClient => ({
    ...opencode,
    headers: { ...opencode.headers, 'x-bursar-user': user },
  })
  const withoutMessage = (text: string) => {
    const { message, call_id, ...error } = JSON.parse(text).error
    return { message: String(message), id: String(call_id), error }
  }

  test.each(['team-500', 'rate limit', '4291', 'try again in Köln', '502 503 504', '524524', 'error 500429'])(
    'stops for a user called %s, whose name is in the details alone',
    async (user) => {
      const gateway = await refusingGateway('never', {}, 'perUser')
      const answer = await asks(gateway, withUser(encodeURIComponent(user)))
      expect(answer.status).toBe(402)
      expect(opencode.reactsTo(answer)).toBe('stops')
      const { message, error } = withoutMessage(answer.text)
      expect(message).toMatch(/^Spending limit reached: max_cost_per_request\./)
      expect(error.details.subject).toBe(`user:(none)/${encodeURIComponent(user)}`)
    },
  )

  test('stops whatever the figures are, and programs read the same figures as ever', async () => {
    for (let index = 0; index < 120; index++) {
      const capacity = (429 + index * 37) * 1_000 + ([500, 502, 503, 504, 524, 429][index % 6] ?? 0)
      const costPerCall = `0.${String(capacity % 280_000).padStart(9, '0')}`
      const gateway = await useGateway({
        clock: new ManualClock(),
        config: { prices: [PRICE], limits: { global: { costPerCall } } },
      })
      const answer = await asks(gateway, opencode)
      const plain = await asks(gateway, PLAIN)
      expect(opencode.reactsTo(answer), `${costPerCall}: ${answer.text}`).toBe('stops')
      const { details } = withoutMessage(plain.text).error
      // A figure with two words that no point parts is a string.
      const asText = ([name, value]: [string, unknown]) => [name, typeof value === 'number' ? String(value) : value]
      const shown = Object.entries(withoutMessage(answer.text).error.details).map(asText)
      expect(
        shown.map(([name, value]) => [name, name === 'capacity' || name === 'free' ? Number(value) : value]),
      ).toEqual(
        Object.entries(details)
          .map(asText)
          .map(([name, value]) => [name, name === 'capacity' || name === 'free' ? Number(value) : value]),
      )
      await gateway.close()
    }
  })

  test('stops at the line to paste for an unknown price, whose values stay what they are', async () => {
    const gateway = await useGateway({ config: { limits: { global: { costPerDay: '1.00' } } } })
    for (const model of ['gpt-5.5-500', 'gpt-429', 'o3-502-rate limit', 'claude-504', 'x 503']) {
      const answer = await asks(gateway, opencode, model)
      const plain = await asks(gateway, PLAIN, model)
      expect(answer.status).toBe(400)
      expect(opencode.reactsTo(answer), answer.text).toBe('stops')
      const { message, error } = withoutMessage(answer.text)
      expect(error.details.message).toBe(withoutMessage(plain.text).message)
      expect(message).not.toContain(model)
    }
    const pasted = /\{"prices":.*?\]\}/
    const shown = withoutMessage((await asks(gateway, opencode, 'gpt-5.5-500')).text).message
    const whole = withoutMessage((await asks(gateway, PLAIN, 'gpt-5.5-500')).text).message
    expect(JSON.parse(pasted.exec(shown)?.[0] ?? '')).toEqual(JSON.parse(pasted.exec(whole)?.[0] ?? ''))
  })
})

// Routing: which target answers a model, in what order targets are asked, when one is left alone, and what a route may cost.

import { beforeEach, describe, expect, it } from 'vitest'
import { ConfigError } from '../../src/config/config-error.ts'
import { readFileConfig } from '../../src/config/file.ts'
import { ManualClock } from '../support/clocks.ts'
import { waitFor } from '../support/waiting.ts'
import { type DialectName, errorIn, type RequestOptions } from './dialect-fixtures.ts'
import {
  COST_NANO_USD,
  endpointAt,
  fails,
  fileFor,
  hangs,
  inTurn,
  LIMITS,
  type RoutingFixture,
  type RoutingFixtureOptions,
  succeeds,
  UNREACHABLE_URL,
  useRouting,
} from './routing-fixture.ts'
import { nanoUsd } from './settlement-checks.ts'

const withAliases = (aliases: object, config: object = {}) => ({ file: { aliases, ...config } })

/** What a configuration is refused for. */
function mistakesIn(file: object): readonly string[] {
  try {
    readFileConfig(JSON.stringify(file))
    return []
  } catch (error) {
    if (error instanceof ConfigError) return error.mistakes
    throw error
  }
}

describe('aliases in bursar.json', () => {
  it('are lists of targets, or rows with more', () => {
    const aliases = {
      fast: ['gpt-4o', 'anthropic/claude-sonnet-4-5'],
      sure: { targets: ['first/m'], retries: 3, onBudget: 'cheaper' },
    }
    const { routes } = readFileConfig(JSON.stringify({ aliases, retries: 2 }))
    expect(routes.retries).toBe(2)
    expect(Object.fromEntries(routes.aliases)).toEqual({
      fast: { targets: ['gpt-4o', 'anthropic/claude-sonnet-4-5'], retries: 1, onBudget: 'refuse' },
      sure: { targets: ['first/m'], retries: 3, onBudget: 'cheaper' },
    })
  })

  it.each([
    ['no targets', { a: [] }, /^aliases\.a/],
    ['too many targets', { a: Array(9).fill('m') }, /^aliases\.a/],
    ['targets that are no names', { a: [1] }, /^aliases\.a/],
    ['an unknown option', { a: { targets: ['m'], retry: 1 } }, /^aliases\.a/],
    ['too many retries', { a: { targets: ['m'], retries: 6 } }, /^aliases\.a/],
    ['half a retry', { a: { targets: ['m'], retries: 0.5 } }, /^aliases\.a/],
    ['an unknown word', { a: { targets: ['m'], onBudget: 'cheapest' } }, /^aliases\.a/],
    ['a name with spaces', { 'a b': ['m'] }, /^aliases\.a b: must be a name without spaces, and not sim\/…$/],
    ['a simulated name', { 'sim/a': ['m'] }, /^aliases\.sim\/a: must be a name without spaces, and not sim\/…$/],
    ['an alias of an alias', { a: ['b'], b: ['m'] }, /^aliases\.a: must name models, and b is an alias itself$/],
  ])('with %s are refused', (_, aliases, mistake) => {
    const mistakes = mistakesIn({ aliases })
    expect(mistakes).toEqual([expect.stringMatching(mistake)])
  })

  it('with retries of models in general out of range are refused', () => {
    expect(mistakesIn({ retries: -1 })).toEqual([expect.stringMatching(/^retries: /)])
    expect(mistakesIn({ retries: 6 })).toEqual([expect.stringMatching(/^retries: /)])
  })

  it('may have the name of a model that is one of their targets', () => {
    expect(mistakesIn({ aliases: { m: ['m', 'second/m'] } })).toEqual([])
  })
})

describe('an alias', () => {
  it('asks its first target, under the name the target knows', async () => {
    const routing = await useRouting()
    const { gateway, first } = routing
    const answer = await routing.send()
    expect(answer.status).toBe(200)
    expect(answer.headers.get('x-bursar-target')).toBe('first/m')
    expect(answer.headers.get('x-bursar-cost-usd')).toBe('0.00004')
    expect(JSON.parse(first.received[0]?.body ?? '')).toMatchObject({ model: 'm' })
    const { facts } = await routing.settledEntry()
    expect(facts).toMatchObject({ requestedModel: 'both', model: 'm', provider: 'first' })
    expect(gateway.provider.received).toHaveLength(0)
    await expect.poll(() => gateway.log.join('')).toContain('"model":"both","provider":"first","target_model":"m"')
  })

  it('goes on to the next target when the first cannot be reached', async () => {
    const routing = await useRouting(withAliases({ both: ['nowhere/m', 'second/m'] }))
    const { gateway } = routing
    const answer = await routing.send()
    expect([answer.status, answer.headers.get('x-bursar-target')]).toEqual([200, 'second/m'])
    expect((await routing.settledEntry()).outcome?.attempts).toMatchObject([
      { provider: 'nowhere', error: 'ECONNREFUSED' },
      { provider: 'nowhere', error: 'ECONNREFUSED' },
      { provider: 'second', error: null },
    ])
    expect((await gateway.ledger.level('daily_spending_limit')).settled).toBe(0.00004)
  })

  it('may be put in front of a model of the same name', async () => {
    const routing = await useRouting({
      first: fails(503),
      ...withAliases({ m: { targets: ['first/m', 'm'], retries: 0 } }),
    })
    const answer = await routing.send({ model: 'm' })
    expect([answer.status, answer.headers.get('x-bursar-target')]).toEqual([200, 'openai/m'])
  })

  it('changes while the gateway runs, all of it or nothing', async () => {
    const routing = await useRouting()
    const { gateway, first, second } = routing
    const file = fileFor(first.url, second.url)
    const reload = (aliases: object) => gateway.app.reload(readFileConfig(JSON.stringify({ ...file, aliases })))
    await reload({ both: ['second/m'] })
    expect((await routing.send()).headers.get('x-bursar-target')).toBe('second/m')
    expect(() => reload({ both: [] })).toThrow(ConfigError)
    expect((await routing.send()).headers.get('x-bursar-target')).toBe('second/m')
    await reload({})
    // The name means nothing now: it goes to the provider of the dialect, and has no price.
    expect((await routing.send()).status).toBe(400)
    expect(routing.requestCounts).toEqual([0, 2])
  })

  it('leaves out targets that have no key, and says what is missing where none has one', async () => {
    const providers = (variable: string) => ({ keyless: { baseUrl: UNREACHABLE_URL, apiKey: variable } })
    const routing = await useRouting()
    const { gateway, second } = routing
    const put = (targets: string[]) =>
      gateway.app.reload(
        readFileConfig(
          JSON.stringify({
            ...fileFor(UNREACHABLE_URL, second.url),
            providers: { second: endpointAt(second.url), ...providers('$SOME_KEY') },
            aliases: { both: targets },
          }),
        ),
      )
    await put(['keyless/m', 'second/m'])
    const answer = await routing.send()
    expect([answer.status, answer.headers.get('x-bursar-target')]).toEqual([200, 'second/m'])
    expect((await routing.settledEntry()).outcome?.attempts).toHaveLength(1)
    await put(['keyless/m'])
    const refused = await routing.send()
    expect([refused.status, refused.headers.get('x-should-retry')]).toEqual([503, 'false'])
    expect(errorIn('openai', await refused.json()).message).toContain('SOME_KEY')
  })

  it('can be asked in a dialect that only some of its targets speak', async () => {
    const routing = await useRouting(withAliases({ both: ['openai/text-embedding-3-small', 'anthropic/m'] }))
    const body = JSON.stringify({ model: 'both', input: 'hello' })
    const answer = await routing.gateway.client.fetch('over sockets', '/v1/embeddings', {
      method: 'POST',
      body,
      headers: { 'content-type': 'application/json' },
    })
    expect([answer.status, routing.gateway.provider.received.length]).toEqual([200, 1])
  })
})

describe('a model that is named alone', () => {
  it.each([
    ['claude-sonnet-4-5', 'openai', 'anthropic', '/v1/messages'],
    ['gpt-4o', 'anthropic', 'openai', '/v1/chat/completions'],
    ['gpt-4o', 'openai', 'openai', '/v1/chat/completions'],
    ['claude-sonnet-4-5', 'anthropic', 'anthropic', '/v1/messages'],
    ['gemini-2.5-flash', 'openai', 'gemini', '/v1beta/models/gemini-2.5-flash:generateContent'],
  ] as const)('%s, asked as of %s, goes to %s', async (model, dialect, provider, path) => {
    const routing = await useRouting()
    const answer = await routing.send({ model }, {}, dialect)
    expect(answer.status).toBe(200)
    expect(answer.headers.get('x-bursar-target')).toBe(dialect === provider ? null : `${provider}/${model}`)
    expect(await answer.text()).toContain('hi')
    expect(routing.gateway.provider.received.map((request) => request.path)).toEqual([path])
    expect((await routing.settledEntry()).facts).toMatchObject({ provider, model })
  })

  it.each([
    ['openai', '/v1/chat/completions'],
    ['anthropic', '/v1/messages'],
    ['gemini', '/v1beta/models/who-knows:generateContent'],
  ] as const)('and that is unknown goes to %s, whose dialect the request has', async (dialect, path) => {
    const routing = await useRouting({ env: { UNKNOWN_PRICE: 'allow' } })
    expect((await routing.send({ model: 'who-knows' }, {}, dialect)).status).toBe(200)
    expect(routing.gateway.provider.received.map((request) => request.path)).toEqual([path])
  })

  it('keeps a prefix that names no provider', async () => {
    const routing = await useRouting({ env: { UNKNOWN_PRICE: 'allow' } })
    expect((await routing.send({ model: 'nosuch/m' })).status).toBe(200)
    expect(JSON.parse(routing.gateway.provider.received[0]?.body ?? '')).toMatchObject({ model: 'nosuch/m' })
  })

  it.each([
    ['claude-sonnet-4-5', 'openai', 'ANTHROPIC_API_KEY'],
    ['gpt-4o', 'anthropic', 'OPENAI_API_KEY'],
    ['who-knows', 'anthropic', 'ANTHROPIC_API_KEY'],
  ] as const)('%s, asked as of %s without a key, names %s', async (model, dialect, variable) => {
    const routing = await useRouting({ env: { [variable]: '', UNKNOWN_PRICE: 'allow' } })
    const answer = await routing.send({ model }, {}, dialect)
    expect([answer.status, answer.headers.get('x-should-retry')]).toEqual([503, 'false'])
    expect(errorIn(dialect, await answer.json()).message).toContain(variable)
    expect(await routing.gateway.ledger.entries()).toHaveLength(0)
  })
})

describe.each([false, true])('across dialects, stream: %s:', (stream) => {
  it.each([
    ['openai', 'anthropic/m'],
    ['anthropic', 'openai/m'],
    ['openai', 'gemini/m'],
  ] as const)('a client of %s is answered by %s when its first target is down', async (dialect, target) => {
    const routing = await useRouting(withAliases({ both: { targets: ['nowhere/m', target], retries: 0 } }))
    const answer = await routing.send({ stream }, {}, dialect)
    expect([answer.status, answer.headers.get('x-bursar-target')]).toEqual([200, target])
    const text = await answer.text()
    expect(textIn(dialect, text, stream)).toBe(stream ? 'Hello there' : 'hi')
    const { facts, outcome } = await routing.settledEntry()
    expect(`${facts.provider}/${facts.model}`).toBe(target)
    expect(outcome).toMatchObject({ ending: 'completed', certainty: 'exact', cost: { totalNanoUsd: COST_NANO_USD } })
    expect(outcome?.attempts).toMatchObject([
      { provider: 'nowhere', costNanoUsd: 0n },
      { error: null, costNanoUsd: COST_NANO_USD },
    ])
  })
})

describe('a circuit', () => {
  const clock = new ManualClock()
  const firstAlone = { aliases: { one: { targets: ['first/m'], retries: 0 } } }
  const statusOf = async (routing: RoutingFixture, wanted: RequestOptions = { model: 'one' }) => {
    const answer = await routing.send(wanted)
    await answer.text()
    return answer.status
  }

  /** Ten calls that fail. */
  async function broken(options: RoutingFixtureOptions = {}): Promise<RoutingFixture> {
    const routing = await useRouting({ clock, first: fails(500), ...options, file: { ...firstAlone, ...options.file } })
    for (let call = 0; call < 10; call++) expect(await statusOf(routing)).toBe(500)
    return routing
  }

  it('stays closed through failures that are less than half, and refusals', async () => {
    const routing = await useRouting({
      clock,
      first: inTurn(...Array(5).fill(fails(429)), ...Array(4).fill(fails(500)), succeeds),
      file: firstAlone,
    })
    for (let call = 0; call < 12; call++) await statusOf(routing)
    expect(await routing.targets()).toMatchObject([{ target: 'first/m', circuit: 'closed', failed: 4 }])
    expect(routing.requestCounts).toEqual([12, 0])
  })

  it('opens: 503 with the time to wait, and nothing is consumed', async () => {
    const routing = await broken()
    const { gateway } = routing
    await gateway.ledger.holds(10)
    const before = await gateway.ledger.levels()
    clock.advance(1_500)
    const answer = await routing.send({ model: 'one' })
    expect(answer.status).toBe(503)
    expect(answer.headers.get('retry-after')).toBe('4')
    expect(answer.headers.get('retry-after-ms')).toBe('3500')
    const body = (await answer.json()) as { error: { details?: unknown } }
    expect(errorIn('openai', body).code).toBe('circuit_open')
    const resetsAt = new Date(clock.now().wallMs + 3_500).toISOString()
    expect(body.error.details).toEqual({ retry_after_ms: 3_500, resets_at: resetsAt })
    expect(await gateway.ledger.levels()).toEqual(before)
    expect(await gateway.ledger.entries()).toHaveLength(10)
    expect(routing.requestCounts).toEqual([10, 0])
    const target = { target: 'first/m', circuit: 'open', failed: 10, of: 10, retry_after_ms: 3_500, cooling_ms: 0 }
    expect(await routing.targets()).toEqual([target])
  })

  it.each(['openai', 'anthropic', 'gemini'] as const)('is answered in the dialect of %s', async (dialect) => {
    const routing = await broken()
    const answer = await routing.send({ model: 'one' }, {}, dialect)
    expect(answer.status).toBe(503)
    expect(errorIn(dialect, await answer.json()).message).toBe(
      'Calls to this model are failing at the provider; try again in 5 s.',
    )
  })

  it('half open lets one of 200 calls through, and closes when that one does well', async () => {
    const routing = await broken()
    const { first } = routing
    clock.advance(5_000)
    expect(await routing.targets()).toMatchObject([{ circuit: 'half_open' }])
    let answered: () => void = () => {}
    const answering = new Promise<void>((resolve) => {
      answered = resolve
    })
    first.says(async (call) => {
      await answering
      succeeds(call)
    })
    const statuses = Array.from({ length: 200 }, () => statusOf(routing))
    const refused: number[] = []
    for (const answered of statuses) void answered.then((code) => code === 503 && refused.push(code))
    await waitFor(async () => refused.length === 199 || undefined)
    expect(first.received).toHaveLength(11)
    answered()
    expect((await Promise.all(statuses)).filter((code) => code === 200)).toHaveLength(1)
    expect(await routing.targets()).toMatchObject([{ circuit: 'closed', failed: 0 }])
    expect(await Promise.all([statusOf(routing), statusOf(routing), statusOf(routing)])).toEqual([200, 200, 200])
  })

  it('opens for longer when the one let through fails', async () => {
    const routing = await broken()
    clock.advance(5_000)
    expect(await statusOf(routing)).toBe(500)
    expect(await routing.targets()).toMatchObject([{ circuit: 'open', retry_after_ms: 10_000 }])
    clock.advance(9_999)
    expect(await statusOf(routing)).toBe(503)
    clock.advance(1)
    expect(await statusOf(routing)).toBe(500)
    expect(await routing.targets()).toMatchObject([{ circuit: 'open', retry_after_ms: 20_000 }])
  })

  it('lets the next one through when the first is refused by a limit', async () => {
    const routing = await broken()
    const { first } = routing
    first.says(succeeds)
    clock.advance(5_000)
    expect(await statusOf(routing, { model: 'one', cap: 8_000, text: 'x'.repeat(200_000) })).toBe(200)
    await routing.gateway.app.reload(
      readFileConfig(
        JSON.stringify({
          ...fileFor(first.url, first.url),
          ...firstAlone,
          limits: { perModel: { costPerCall: '0.001' } },
        }),
      ),
    )
    first.says(fails(500))
    for (let call = 0; call < 10; call++) await statusOf(routing)
    clock.advance(5_000)
    first.says(succeeds)
    expect(await statusOf(routing, { model: 'one', cap: 8_000 })).toBe(429)
    expect(await routing.targets()).toMatchObject([{ circuit: 'half_open' }])
    expect(await statusOf(routing)).toBe(200)
    expect(await routing.targets()).toMatchObject([{ circuit: 'closed' }])
  })

  it('lets the next one through when the first one’s client leaves', async () => {
    const routing = await broken({ env: { ON_DISCONNECT: 'cancel' } })
    const { first, gateway } = routing
    clock.advance(5_000)
    first.says(hangs)
    const leaving = new AbortController()
    const left = routing.send({ model: 'one' }, { signal: leaving.signal }).catch(() => 'left')
    await waitFor(async () => first.received.length === 11 || undefined)
    expect(await statusOf(routing)).toBe(503)
    leaving.abort()
    expect(await left).toBe('left')
    await gateway.ledger.holds(11)
    first.says(succeeds)
    expect(await statusOf(routing)).toBe(200)
    expect(await routing.targets()).toMatchObject([{ circuit: 'closed' }])
  })

  it('that is open is passed by: the next target is asked, and its price is what counts', async () => {
    const routing = await broken({
      file: { aliases: { ...firstAlone.aliases, both: ['first/m', 'second/cheap'], less: ['second/cheap'] } },
    })
    const bound = await routing.reservationNanoUsd('less')
    const answer = await routing.send()
    expect([answer.status, answer.headers.get('x-bursar-target')]).toEqual([200, 'second/cheap'])
    const [entry] = await routing.gateway.ledger.holds(11)
    expect(entry?.outcome?.attempts).toHaveLength(1)
    expect(entry?.outcome?.cost.totalNanoUsd).toBe(COST_NANO_USD / 10n)
    expect(entry?.facts.reservedCostNanoUsd).toBe(bound)
  })

  it('that is open says when the first of several may be asked again', async () => {
    const routing = await broken({
      second: fails(500),
      file: {
        aliases: { ...firstAlone.aliases, two: { targets: ['second/m'], retries: 0 }, both: ['second/m', 'first/m'] },
      },
    })
    const { gateway } = routing
    clock.advance(2_000)
    for (let call = 0; call < 10; call++) await statusOf(routing, { model: 'two' })
    expect((await routing.send()).headers.get('retry-after-ms')).toBe('3000')
    expect((await gateway.app.store.figures({ simulated: false })).open.calls).toBe(0)
  })

  it('that is open stays so for the cheaper target of a route, too', async () => {
    const both = { targets: ['second/dear', 'first/m'], retries: 0, onBudget: 'cheaper' }
    const routing = await useRouting({
      clock,
      first: fails(503),
      file: { limits: { global: { costPerDay: '0.0012' } }, aliases: { ...firstAlone.aliases, both } },
    })
    for (let call = 0; call < 10; call++) await statusOf(routing)
    expect(await routing.targets()).toMatchObject([{ target: 'first/m', circuit: 'open' }])
    await statusOf(routing, { model: 'both' })
    expect(routing.requestCounts).toEqual([10, 0])
    clock.advance(5_000)
    routing.first.says(hangs)
    const leaving = new AbortController()
    const asking = Array.from({ length: 5 }, () =>
      routing.send({ cap: 1 }, { signal: leaving.signal }).then(
        ({ status }) => status,
        () => 0,
      ),
    )
    await waitFor(async () => routing.first.received.length > 10 || undefined)
    leaving.abort()
    await Promise.all(asking)
    expect(routing.requestCounts).toEqual([11, 0])
  })

  it('never opens for simulated models', async () => {
    const routing = await useRouting({ clock })
    for (let call = 0; call < 20; call++) expect(await statusOf(routing, { model: 'sim/error-500' })).toBe(500)
    expect(await routing.targets()).toEqual([])
  })
})

describe('a target that refused for its own limits', () => {
  let clock: ManualClock
  beforeEach(() => {
    clock = new ManualClock()
  })

  it('is asked last for as long as its Retry-After', async () => {
    const routing = await useRouting({ clock, first: inTurn(fails(429, { 'retry-after': '7' }), succeeds) })
    const targets: (string | null)[] = []
    const ask = async () => targets.push((await routing.send()).headers.get('x-bursar-target'))
    await ask()
    clock.advance(6_999)
    await ask()
    expect(await routing.targets()).toMatchObject([{ target: 'first/m', circuit: 'closed', cooling_ms: 1 }])
    clock.advance(1)
    await ask()
    expect(targets).toEqual(['second/m', 'second/m', 'first/m'])
    expect(routing.requestCounts).toEqual([2, 2])
  })

  it('is asked all the same where there is no other', async () => {
    const routing = await useRouting({ clock, first: inTurn(fails(429, { 'retry-after': '7' }), succeeds) })
    expect((await routing.send({ model: 'first/m' })).status).toBe(429)
    expect((await routing.send({ model: 'first/m' })).status).toBe(200)
  })

  it('without a Retry-After is left alone for five seconds', async () => {
    const routing = await useRouting({ clock, first: fails(429) })
    await routing.send()
    expect(await routing.targets()).toMatchObject([{ cooling_ms: 5_000 }])
  })

  it('is asked, both having refused, when it was to be asked sooner', async () => {
    const routing = await useRouting({
      clock,
      first: inTurn(fails(429, { 'retry-after': '30' }), succeeds),
      second: inTurn(fails(429, { 'retry-after': '10' }), succeeds),
    })
    expect((await routing.send()).status).toBe(429)
    expect((await routing.send()).headers.get('x-bursar-target')).toBe('second/m')
  })
})

describe('what a route may cost', () => {
  it('is reserved for its most expensive target; the target that answers sets the price', async () => {
    const routing = await useRouting({
      first: hangs,
      ...withAliases({ both: ['first/cheap', 'second/dear'], more: ['second/dear'] }),
    })
    const { gateway, first } = routing
    const bound = await routing.reservationNanoUsd('more')
    const asking = routing.send()
    await waitFor(async () => first.received[0])
    expect(nanoUsd((await gateway.ledger.level('daily_spending_limit')).reserved)).toBe(bound)
    const [call] = first.received
    if (call) succeeds(call)
    expect((await asking).headers.get('x-bursar-cost-usd')).toBe('0.000004')
    const { outcome } = await routing.settledEntry()
    expect(outcome?.cost.totalNanoUsd).toBe(COST_NANO_USD / 10n)
    expect(await gateway.ledger.level('daily_spending_limit')).toMatchObject({ settled: 0.000004, reserved: 0 })
  })

  it('of a more expensive target that had to answer is that target’s', async () => {
    const routing = await useRouting({
      first: fails(503),
      ...withAliases({ both: { targets: ['first/cheap', 'second/dear'], retries: 0 } }),
    })
    expect((await routing.send()).headers.get('x-bursar-cost-usd')).toBe('0.0004')
    expect((await routing.gateway.ledger.level('daily_spending_limit')).settled).toBe(0.0004)
  })

  /** A day's money that holds one call to `m`, and none to `dear`. */
  const tight = { global: { costPerDay: '0.0003', inFlight: 10 } }

  it.each([
    ['refuse', 429, null],
    ['cheaper', 200, 'second/m'],
  ])('that does not fit, on %s: %i', async (onBudget, status, target) => {
    const routing = await useRouting(
      withAliases({ both: { targets: ['first/dear', 'second/m'], onBudget } }, { limits: tight }),
    )
    const answer = await routing.send()
    expect([answer.status, answer.headers.get('x-bursar-target')]).toEqual([status, target])
    expect(routing.requestCounts).toEqual([0, status === 200 ? 1 : 0])
  })

  it('that fits no target is refused, and nothing is taken', async () => {
    const limits = { global: { costPerDay: '0.000001', inFlight: 10 } }
    const routing = await useRouting(
      withAliases({ both: { targets: ['first/dear', 'second/m'], onBudget: 'cheaper' } }, { limits }),
    )
    const before = await routing.gateway.ledger.levels()
    const answer = await routing.send()
    expect(answer.status).toBe(429)
    expect(await routing.gateway.ledger.levels()).toEqual(before)
    expect(routing.requestCounts).toEqual([0, 0])
  })

  it('leaves out none for another limit than money', async () => {
    const limits = { 'provider:first': { tokensPerCall: 1 } }
    const routing = await useRouting(
      withAliases({ both: { targets: ['first/dear', 'second/m'], onBudget: 'cheaper' } }, { limits }),
    )
    expect((await routing.send()).status).toBe(429)
  })

  it('falls back only where that still fits', async () => {
    // What the second costs there is no more than the route has: but of the second alone there is less.
    const limits = { ...LIMITS, 'provider:second': { costPerDay: '0.000001' } }
    const routing = await useRouting({ first: fails(503), file: { limits } })
    const answer = await routing.send()
    expect([answer.status, answer.headers.get('x-bursar-target')]).toEqual([503, 'first/m'])
    expect(routing.requestCounts).toEqual([1, 0])
    expect(await routing.gateway.ledger.level('daily_spending_limit')).toMatchObject({ settled: 0, reserved: 0 })
  })
})

describe('the header that names the target', () => {
  it('comes with every answer of an alias, its errors included, and with no other', async () => {
    const routing = await useRouting({ first: inTurn(fails(400), fails(400), succeeds) })
    expect((await routing.send()).headers.get('x-bursar-target')).toBe('first/m')
    expect((await routing.send({ model: 'first/m' })).headers.has('x-bursar-target')).toBe(false)
    expect((await routing.send({ stream: true })).headers.get('x-bursar-target')).toBe('first/m')
  })

  it('holds no more than a header can', async () => {
    const routing = await useRouting({
      env: { UNKNOWN_PRICE: 'allow' },
      ...withAliases({ both: ['first/größe\u{1f44b}'] }, { limits: { global: { inFlight: 3 } } }),
    })
    expect((await routing.send()).headers.get('x-bursar-target')).toMatch(/^first\/gr\?\?e\?+$/)
  })
})

/** The text an answer holds, as the client's own dialect has it. */
function textIn(dialect: DialectName, text: string, stream: boolean): string {
  const values = stream
    ? text.split('\n').flatMap((line) => (/^data: \{/.test(line) ? [JSON.parse(line.slice(6))] : []))
    : [JSON.parse(text)]
  const found: string[] = []
  JSON.stringify(values, (key, value) => {
    if ((key === 'text' || (key === 'content' && dialect === 'openai')) && typeof value === 'string') found.push(value)
    return value
  })
  return found.join('')
}

// Patterns through HTTP, over sockets and in process: whole and as events, their calls in the ledger, the models they ask.

import { describe, expect, it } from 'vitest'
import { readFileConfig } from '../../src/config/file.ts'
import { PRICE } from '../call/dialect-fixtures.ts'
import { TRANSPORTS } from '../support/client-and-ledger.ts'
import { type GatewayFixtureOptions, useGateway } from '../support/gateway.ts'
import type { ProviderRequest } from '../support/provider.ts'
import {
  completedRun,
  entriesOf,
  openaiModel,
  PATTERN_NAMES,
  runAndLedgerSums,
  runPattern,
  shapeIn,
} from './patterns-runs.ts'

const onSimulated = (config: object = {}): GatewayFixtureOptions => ({
  config: { prices: [PRICE], patterns: { model: 'sim/echo' }, ...config },
})

describe.each(TRANSPORTS)('%s:', (transport) => {
  it.each(PATTERN_NAMES)('%s comes to its end, and says of each step what it was, cost and took', async (name) => {
    const gateway = await useGateway(onSimulated())
    const answer = await runPattern(gateway, name, {}, { transport })
    const run = completedRun(answer)
    expect([answer.status, answer.headers.get('content-type')]).toEqual([200, 'application/json'])
    expect(answer.headers.get('x-bursar-simulated')).toBe('true')
    expect(answer.headers.get('x-bursar-task')).toBe(run.task)
    expect(run).toMatchObject({ pattern: name, model: 'sim/echo', stopped: null, simulated: true })
    expect(run.limits).toEqual({ max_cost_usd: null, max_steps: expect.any(Number), max_seconds: 600 })
    expect(run.steps.map(({ number }) => number)).toEqual(run.steps.map((_, index) => index + 1))
    for (const step of run.steps) {
      expect(Object.keys(step).slice(0, 3)).toEqual(['number', 'name', 'kind'])
      expect(step.duration_ms).toBeGreaterThanOrEqual(0)
      if (step.kind === 'ask') expect(step.cost_usd).toBeGreaterThan(0)
    }
  })

  it.each(PATTERN_NAMES)(
    '%s, streamed, sends each step when it is done, and the same answer at the end',
    async (name) => {
      const gateway = await useGateway(onSimulated())
      const whole = completedRun(await runPattern(gateway, name, {}, { transport }))
      const streamed = await runPattern(gateway, name, { stream: true }, { transport })
      const run = completedRun(streamed)
      expect(streamed.headers.get('x-bursar-task')).toBe(run.task)
      expect(streamed.streamedSteps).toEqual(run.steps)
      const plain = ({ steps, task: _, ...rest }: typeof run) => ({
        ...rest,
        steps: steps.map(({ call_id: _, duration_ms: __, ...step }) => step),
      })
      expect(plain(run)).toEqual(plain(whole))
    },
  )

  it.each(PATTERN_NAMES)('%s is in the ledger, call by call, and its sums are the ledger’s', async (name) => {
    const gateway = await useGateway({
      ...onSimulated({ patterns: { model: 'sim/echo', embeddingModel: 'sim/vectors' } }),
    })
    const headers = { 'x-bursar-user': 'u1', 'x-bursar-thread': 't1' }
    for (const stream of [false, true]) {
      const run = completedRun(await runPattern(gateway, name, { stream }, { transport, headers }))
      const entries = await entriesOf(gateway, run.task)
      expect(entries.map(({ facts }) => facts.callId)).toEqual(run.steps.flatMap(({ call_id }) => call_id ?? []))
      expect(entries.length).toBeGreaterThan(name === 'rag' ? 1 : 0)
      for (const { facts } of entries) {
        expect(facts).toMatchObject({ operation: name, provider: 'simulated', simulated: true })
        expect(facts.caller).toMatchObject({ key: null, task: run.task, user: 'u1', thread: 't1' })
      }
      const { reported, settled } = await runAndLedgerSums(gateway, run)
      expect(reported).toEqual(settled)
    }
  })

  it('a caller’s own task and operation are those of all calls', async () => {
    const gateway = await useGateway(onSimulated())
    const headers = { 'x-bursar-task': 'mine', 'x-bursar-operation': 'drafting' }
    const run = completedRun(await runPattern(gateway, 'metacognition', {}, { transport, headers }))
    expect(run.task).toBe('mine')
    const entries = await entriesOf(gateway, 'mine')
    expect(entries.map(({ facts }) => facts.operation)).toEqual(entries.map(() => 'drafting'))
    expect(entries).toHaveLength(run.usage.requests)
  })

  it.each([
    ['empty', ''],
    ['longer than any', 't'.repeat(300)],
  ])('a task that is %s is named as in the ledger', async (_, task) => {
    const gateway = await useGateway(onSimulated())
    const run = completedRun(
      await runPattern(gateway, 'metacognition', {}, { transport, headers: { 'x-bursar-task': task } }),
    )
    expect(await entriesOf(gateway, run.task)).toHaveLength(run.usage.requests)
  })
})

describe('models', () => {
  it('are those that bursar.json names, from its next reading on, or the request', async () => {
    const gateway = await useGateway(onSimulated())
    const modelOf = async (fields: object = {}) => completedRun(await runPattern(gateway, 'rag', fields)).model
    expect(await modelOf()).toBe('sim/echo')
    expect(await modelOf({ model: 'sim/other' })).toBe('sim/other')
    await gateway.app.reload(readFileConfig(JSON.stringify({ patterns: { model: 'sim/tools-2' } })))
    expect(await modelOf()).toBe('sim/tools-2')
    const { facts } = (await gateway.ledger.entries())[0] ?? {}
    expect(facts?.model).toBe('sim/tools-2')
  })

  it('of embeddings order the passages once one is named', async () => {
    const gateway = await useGateway(onSimulated())
    const stepsOf = async () =>
      completedRun(await runPattern(gateway, 'rag')).steps.map(({ name, failed }) => [name, failed])
    const changed = (patterns: object) => gateway.app.reload(readFileConfig(JSON.stringify({ patterns })))
    const plain = ['search', undefined]
    const answer = ['answer', undefined]
    expect(await stepsOf()).toEqual([plain, answer])
    await changed({ model: 'sim/echo', embeddingModel: 'sim/vectors' })
    expect(await stepsOf()).toEqual([plain, ['rank', undefined], answer])
    await changed({ model: 'sim/echo', embeddingModel: 'sim/error-500' })
    expect(await stepsOf()).toEqual([plain, ['rank', 'Simulated error 500.'], answer])
    const [last] = await gateway.ledger.entries()
    const run = completedRun(await runPattern(gateway, 'rag', {}, { headers: { 'x-bursar-task': 'ranked' } }))
    const { reported, settled } = await runAndLedgerSums(gateway, run)
    expect(last?.facts.dialect).toBe('openai.chat')
    // What the failed ranking may have cost is part of it.
    expect(reported).toEqual(settled)
    expect(reported.requests).toBe(2)
  })

  it('of Anthropic are asked in its own words, for answers of a shape', async () => {
    const verdict = { critique: 'Fine.', score: 9 }
    const script = ({ response }: ProviderRequest) => {
      const content = [{ type: 'text', text: JSON.stringify({ c1: verdict, c2: verdict }) }]
      const usage = { input_tokens: 20, output_tokens: 10 }
      const frame = { id: 'msg_1', type: 'message', role: 'assistant', model: 'claude-sonnet-4-5', stop_sequence: null }
      const body = JSON.stringify({ ...frame, content, stop_reason: 'end_turn', usage })
      response.writeHead(200, { 'content-type': 'application/json' }).end(body)
    }
    const gateway = await useGateway({ respond: script })
    const run = completedRun(await runPattern(gateway, 'reflection', { model: 'anthropic/claude-sonnet-4-5' }))
    expect(run.result).toMatchObject({ ended: 'all_passed', output: 'Bursar is a gate.' })
    const [call, ...others] = gateway.provider.received
    expect(others).toEqual([])
    expect(call?.path).toBe('/v1/messages')
    const sent = JSON.parse(call?.body ?? '{}') as Record<string, { format?: object }>
    expect(sent.output_config?.format).toMatchObject({ type: 'json_schema', schema: { type: 'object' } })
    expect(sent).toMatchObject({ model: 'claude-sonnet-4-5', system: expect.anything() })
    const { reported, settled } = await runAndLedgerSums(gateway, run)
    expect(reported).toEqual(settled)
    expect(reported).toMatchObject({ requests: 1, tokens: 30 })
  })

  it('see nothing of the request but what the pattern asks', async () => {
    const content = { critique: 'Fine.', score: 9 }
    const gateway = await useGateway({
      respond: openaiModel(() => ({ c1: content, c2: content })),
      env: { BURSAR_KEYS: 'alice:alice-secret-alice' },
    })
    const headers = {
      authorization: 'Bearer alice-secret-alice',
      'accept-encoding': 'gzip, br',
      'idempotency-key': 'once',
      'openai-beta': 'anything',
      cookie: 'a=b',
      'x-bursar-user': 'u1',
    }
    const start = { headers, query: '?key=alice-secret-alice', transport: 'over sockets' } as const
    expect((await runPattern(gateway, 'reflection', { model: 'm' }, start)).status).toBe(200)
    const [call] = gateway.provider.received
    expect(call?.path).toBe('/v1/chat/completions')
    expect(call?.headers['accept-encoding']).toBe('identity')
    const seen = JSON.stringify([call?.headers, call?.path, call?.body])
    expect(seen).not.toMatch(/alice|once|openai-beta|a=b|u1|x-bursar/)
  })

  it('that report no usage cost what was settled', async () => {
    const gateway = await useGateway(onSimulated())
    const run = completedRun(await runPattern(gateway, 'reflection', { model: 'sim/no-usage' }))
    const { reported, settled } = await runAndLedgerSums(gateway, run)
    expect(reported).toEqual(settled)
    expect(reported.costNanoUsd).toBeGreaterThan(0n)
  })

  it('are asked once more if their answer has no such shape', async () => {
    const names: string[] = []
    const content = { critique: 'Fine.', score: 9 }
    const gateway = await useGateway({
      respond: openaiModel((call) => {
        names.push(shapeIn(call))
        return names.length === 1 ? 'no JSON at all' : { c1: content, c2: content }
      }),
    })
    const run = completedRun(await runPattern(gateway, 'reflection', { model: 'm' }))
    expect(names).toEqual(['score', 'score'])
    expect(run.steps.map(({ name, failed }) => [name, failed])).toEqual([
      ['score', 'it holds no JSON object'],
      ['score again', undefined],
    ])
  })
})

// What all patterns share: how requests are checked, shapes are requested, steps are recorded, and runs end.

import { describe, expect, it, test } from 'vitest'
import { z } from 'zod'
import { PATTERNS } from '../../../src/patterns/index.ts'
import {
  definePattern,
  fence,
  RunStopped,
  readAs,
  schemaOf,
  textMessage,
  truncate,
} from '../../../src/patterns/pattern/pattern.ts'
import { outcomeOf, type Script, type ScriptedAnswer, scriptedRun, simulatedRun, textPart } from '../runs.ts'

const shape = z.object({ word: z.string().min(1) })
/** A pattern with two calls: one for a shape, one for text. */
const ECHO = definePattern({
  name: 'echo',
  description: 'For tests.',
  fields: { said: z.string() },
  defaultMaxSteps: 4,
  execute: async ({ said: text }, trail) => {
    const { word } = await trail.callModelAs('word', { messages: [textMessage('user', text)] }, shape)
    trail.partialResult = { word }
    const { text: fields } = await trail.callModel('more', { messages: [textMessage('user', word)] })
    return { word, more: fields }
  },
})
const BODY = { said: 'hi' }

/** A script that returns one answer after the other. */
const turns =
  (...script: readonly ScriptedAnswer[]): Script =>
  (_request, _step, index) =>
    script[index] ?? ''

describe('a request', () => {
  it('can set its model, its cost and its steps', () => {
    expect(ECHO.read({ ...BODY, model: 'm', max_cost_usd: '0.000000001', max_steps: 2 })).toMatchObject({
      model: 'm',
      maxCostNanoUsd: 1n,
      maxSteps: 2,
    })
    expect(ECHO.read({ ...BODY, max_cost_usd: 0.1 }).maxCostNanoUsd).toBe(100_000_000n)
    expect(ECHO.read({ ...BODY, max_cost_usd: 0 }).maxCostNanoUsd).toBe(0n)
    expect(ECHO.read(BODY)).not.toHaveProperty('maxCostNanoUsd')
    expect(ECHO.read(BODY).maxSteps).toBe(4)
  })

  it.each([
    [{ ...BODY, model: '' }, 'model'],
    [{ ...BODY, max_cost_usd: -1 }, 'max_cost_usd'],
    [{ ...BODY, max_cost_usd: '1e3' }, 'max_cost_usd'],
    [{ ...BODY, max_cost_usd: null }, 'max_cost_usd'],
    [{ ...BODY, max_steps: 0 }, 'max_steps'],
    [{ ...BODY, max_steps: 1.5 }, 'max_steps'],
    [{ said: 3 }, 'said'],
    [{}, 'said'],
    [{ ...BODY, more: 1 }, 'more'],
    [null, null],
    ['hi', null],
  ])('is refused: %j', (body, param) => {
    expect(() => ECHO.read(body)).toThrow(expect.objectContaining({ code: 'invalid_request', param }))
  })

  test.each(PATTERNS.map((pattern) => [pattern.name, pattern] as const))('of %s has a schema', (_name, pattern) => {
    expect(pattern.schema).toMatchObject({ type: 'object', properties: { model: {}, max_cost_usd: {}, max_steps: {} } })
  })
})

describe('a shape', () => {
  it('becomes a JSON Schema that every provider accepts', () => {
    const example = z.object({ a: z.string().min(1).max(9), b: z.array(z.number().min(0).max(1)).max(3).describe('b') })
    expect(schemaOf(example)).toEqual({
      type: 'object',
      properties: { a: { type: 'string' }, b: { type: 'array', items: { type: 'number' }, description: 'b' } },
      required: ['a', 'b'],
      additionalProperties: false,
    })
  })

  it.each([
    ['{"word":"a"}'],
    ['```json\n{"word":"a"}\n```'],
    ['Here it is: {"word":"a"} I hope you like it.'],
    ['{"word":"a","more":1}'],
  ])('is read from %j', (answer) => {
    expect(readAs(shape, answer)).toEqual({ ok: true, value: { word: 'a' } })
  })

  it.each([
    ['', 'no JSON object'],
    ['word', 'no JSON object'],
    ['[1]', 'no JSON object'],
    ['} {', 'no JSON object'],
    ['{"word"', 'no JSON object'],
    ['{"word":}', 'not valid JSON'],
    ['{"word":"a"} or {"word":"b"}', 'not valid JSON'],
    ['{"word":""}', 'word'],
    ['{"__proto__":{"word":"a"}}', 'word'],
    [`${'{"word":'.repeat(50_000)}1${'}'.repeat(50_000)}`, 'nested too deeply'],
    [`{"word":[${'{},'.repeat(5_000)}{}]}`, 'more than 10000 values'],
  ])('is not read from %.40j', (answer, problem) => {
    expect(readAs(shape, answer)).toMatchObject({ ok: false, problem: expect.stringContaining(problem) })
  })

  it('can have any brackets in its strings', () => {
    const word = ',:"\\'.repeat(10_000)
    expect(readAs(shape, JSON.stringify({ word }))).toEqual({ ok: true, value: { word } })
  })

  it('is requested once more, with what was wrong', async () => {
    const run = scriptedRun(turns('wrong', { word: 'a' }, 'b'))
    const { result, steps } = await outcomeOf(ECHO, BODY, run)
    expect(result).toEqual({ word: 'a', more: 'b' })
    expect(run.requests.map(({ step }) => step)).toEqual(['word', 'word again', 'more'])
    expect(run.requests[1]?.request.messages).toMatchObject([
      { role: 'user' },
      { role: 'assistant', parts: [textPart('wrong')] },
      { role: 'user', parts: [{ text: expect.stringContaining('it holds no JSON object') }] },
    ])
    expect(steps.map(({ failed }) => failed)).toEqual(['it holds no JSON object', undefined, undefined])
  })

  it('that is missing twice ends a run without a partial result', async () => {
    const run = scriptedRun(turns('', ''))
    await expect(outcomeOf(ECHO, BODY, run)).rejects.toMatchObject({
      reason: 'error',
      message: /"word" cannot be used/,
    })
    expect(run.requests).toHaveLength(2)
    expect(run.requests[1]?.request.messages[1]?.parts).toEqual([textPart('(nothing)')])
  })
})

describe('a run', () => {
  it('records each step when it is done, and adds them up', async () => {
    const run = scriptedRun(turns({ word: 'a' }, 'b'))
    const { steps, ...outcome } = await outcomeOf(ECHO, BODY, run)
    expect(run.steps).toEqual(steps)
    expect(steps[0]).toEqual({
      number: 1,
      name: 'word',
      kind: 'ask',
      asked: 'hi',
      answered: '{"word":"a"}',
      durationMs: 1,
      tokens: { input: 10, output: 5 },
      costNanoUsd: 7n,
      model: 'm',
      callId: 'c',
    })
    expect(outcome).toEqual({
      result: { word: 'a', more: 'b' },
      modelCalls: 2,
      tokens: { input: 20, output: 10 },
      costNanoUsd: 14n,
      simulated: false,
    })
  })

  it('records long texts cut to size', async () => {
    const { steps } = await outcomeOf(
      ECHO,
      { said: 'x'.repeat(9_999) },
      scriptedRun(turns({ word: 'a' }, 'y'.repeat(9_999))),
    )
    expect(steps.map(({ asked, answered }) => [asked.length, answered.length])).toEqual([
      [500, 12],
      [1, 500],
    ])
  })

  it.each(['budget', 'rate', 'deadline', 'error'] as const)(
    'gives back what it found where %s ends it',
    async (reason) => {
      const run = scriptedRun(turns({ word: 'a' }, new RunStopped(reason, 'why')))
      expect(await outcomeOf(ECHO, BODY, run)).toMatchObject({
        result: { word: 'a' },
        stopped: reason,
        stoppedBecause: 'why',
        modelCalls: 1,
        costNanoUsd: 7n,
      })
    },
  )

  it('passes on an early end without a partial result, and any other error', async () => {
    await expect(outcomeOf(ECHO, BODY, scriptedRun(turns(new RunStopped('rate', 'no'))))).rejects.toThrow(RunStopped)
    await expect(outcomeOf(ECHO, BODY, scriptedRun(turns({ word: 'a' }, new Error('bug'))))).rejects.toThrow('bug')
  })

  it('makes no call once the caller has disconnected', async () => {
    const run = scriptedRun(turns({ word: 'a' }, 'b'))
    const request = run.callModel
    run.callModel = async (...all) => {
      run.clientGone = true
      return await request(...all)
    }
    expect(await outcomeOf(ECHO, BODY, run)).toMatchObject({ stopped: 'left', result: { word: 'a' } })
    expect(run.requests).toHaveLength(1)
  })

  it('makes no step beyond its maximum', async () => {
    const run = scriptedRun(turns({ word: 'a' }, 'b'), { maxSteps: 1 })
    expect(await outcomeOf(ECHO, BODY, run)).toMatchObject({ stopped: 'steps', modelCalls: 1 })
    await expect(outcomeOf(ECHO, BODY, scriptedRun(turns(), { maxSteps: 0 }))).rejects.toMatchObject({
      reason: 'steps',
    })
  })

  it('never records a negative duration', async () => {
    const run = scriptedRun(turns({ word: 'a' }, 'b'))
    let nowMs = 1_000
    run.nowMs = () => nowMs--
    expect((await outcomeOf(ECHO, BODY, run)).steps.map(({ durationMs }) => durationMs)).toEqual([0, 0])
  })
})

describe('texts', () => {
  it.each([
    ['abc', 3, 'abc'],
    ['abcd', 3, 'ab…'],
    ['a😀b', 3, 'a\ufffd…'],
  ])('%s are cut to %d', (text, maxCharacters, short) => {
    expect(truncate(text, maxCharacters)).toBe(short)
  })

  it('are fenced with marks that none of them closes', () => {
    expect(fence('a', ['x'])).toEqual(['<a>\nx\n</a>'])
    expect(fence('a', ['x', '</a>'])).toEqual(['<a-2 id="1">\nx\n</a-2>', '<a-2 id="2">\n</a>\n</a-2>'])
    expect(fence('a', ['</a-2></a></a-4'])).toEqual(['<a-3>\n</a-2></a></a-4\n</a-3>'])
    const many = Array.from({ length: 20_000 }, (_, index) => `</a-${index}>`).join('')
    expect(fence('a', [`</a>${many}`])[0]).toMatch(/^<a-20000>/)
  })
})

describe('on the simulated provider', () => {
  const course = async (name: string, body: object, model?: string) => {
    const pattern = PATTERNS.find((candidate) => candidate.name === name)
    if (pattern === undefined) throw new Error(`no pattern ${name}`)
    const run = simulatedRun(model)
    const outcome = await outcomeOf(pattern, { ...body }, run)
    expect(outcome.simulated).toBe(true)
    return { ...outcome, names: outcome.steps.map((step) => step.name) }
  }

  it('reflection improves its scores by a revision', async () => {
    const { result, names } = await course('reflection', {
      initial_output: 'Our bread is good.',
      criteria: { specific: 'names concrete numbers and customers', polite: 'thanks every reader warmly' },
    })
    expect(names).toEqual(['score', 'revise', 'score'])
    expect(result).toMatchObject({
      ended: 'all_passed',
      best_round: 2,
      output: expect.stringContaining('bread is good'),
    })
  })

  it('planning makes a plan of dependent steps, and does them', async () => {
    const { result, names } = await course('planning', { goal: 'Open a bakery in {Lisbon}' })
    expect(names).toEqual(['plan', 'do s1', 'do s2', 'answer'])
    expect(result).toMatchObject({ complete: true, plan: [{ needs: [] }, { needs: ['s1'] }] })
  })

  it.each([
    ['What is 17 * (3 + 4)?', '119'],
    ['Add: 2 + 2.', '4'],
    ['On 2026-11-22 we sold 3 loaves at 2.50', ''],
    ['Hello', '2'],
  ])('tool use calls the calculator: %s', async (task, value) => {
    const { result, steps } = await course('tool-use', { task })
    expect(steps.map(({ kind, failed }) => [kind, failed])).toEqual([
      ['ask', undefined],
      ['tool', undefined],
      ['ask', undefined],
    ])
    expect(result).toMatchObject({ ended: 'done', answer: expect.stringContaining(value) })
  })

  it('tool use makes many calls at once', async () => {
    const { names } = await course('tool-use', { task: '1 + 2' }, 'sim/tools-5')
    expect(names).toEqual([
      'ask',
      'calculator',
      'current_time',
      'convert_units',
      'json_query',
      'text_statistics',
      'ask',
    ])
  })

  it('tool use returns a pending call, and accepts its result', async () => {
    const body = { task: 'How is it?', tools: [{ name: 'weather', schema: { type: 'object', properties: {} } }] }
    const { result } = await course('tool-use', body)
    const [pending] = z.array(z.object({ call_id: z.string() })).parse(result.pending)
    const results = [{ call_id: pending?.call_id, output: 'sunny' }]
    const second = await course('tool-use', { ...body, conversation: result.conversation, results })
    expect(second.result).toMatchObject({ ended: 'done', answer: 'You said: sunny' })
  })

  it('rag cites a real span of the right passage', async () => {
    const { result } = await course('rag', {
      question: 'When was the bridge in Porto opened?',
      documents: [
        { id: 'a', text: 'Cats sleep a lot.' },
        { id: 'b', text: 'Porto has six bridges. The bridge was opened in 1886. It is iron.' },
      ],
    })
    expect(result).toMatchObject({
      grounded: true,
      dropped_citations: 0,
      citations: [{ document: 'b', quote: 'The bridge was opened in 1886.' }],
    })
  })

  it('metacognition has a low confidence, and checks', async () => {
    const { result, names } = await course('metacognition', { problem: 'How many piano tuners are there?' })
    expect(names).toEqual(['answer', 'review', 'check', 'compare'])
    expect(result).toMatchObject({ decision: 'answer', confidence: 0.5, checked: { agrees: true } })
  })
})

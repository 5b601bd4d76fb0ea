// Tool use: the loop, calls handed back and answered by a second request, and everything a model can do wrong in it.

import { describe, expect, it } from 'vitest'
import type { JsonObject, Part, ToolResultPart } from '../../../src/core/chat.ts'
import type { ModelRequest } from '../../../src/patterns/pattern/pattern.ts'
import { TOOL_USE } from '../../../src/patterns/tool-use/tool-use.ts'
import {
  endings,
  outcomeOf,
  runWithEachBudget,
  type Script,
  type ScriptedAnswer,
  scriptedRun,
  textPart,
  toolCallPart,
} from '../runs.ts'

const TASK = { task: 'What is 2 + 3?' }
const WEATHER = { name: 'weather', description: 'Tells the weather.', schema: { type: 'object', properties: {} } }
const sumCall = (id: string, expression = '2 + 3') => toolCallPart(id, 'calculator', { expression })

/** One answer after the other; the last one for ever. */
const turns =
  (...says: readonly ScriptedAnswer[]): Script =>
  (_ask, _step, at) =>
    says[Math.min(at, says.length - 1)] ?? ''

const run = async (script: Script, body: JsonObject = TASK, ends = {}) => {
  const one = scriptedRun(script, ends)
  return { outcome: await outcomeOf(TOOL_USE, body, one), asked: one.requests }
}

function resultsIn(ask: ModelRequest | undefined): ToolResultPart[] {
  return (ask?.messages.at(-1)?.parts ?? []).filter((part) => part.kind === 'toolResult')
}

const resultText = ({ parts }: ToolResultPart) => parts.map((part) => (part.kind === 'text' ? part.text : '')).join('')

describe('tool use', () => {
  it('runs calls and goes on until there are none', async () => {
    const { outcome, asked } = await run(turns([textPart('Let me see.'), sumCall('1')], 'It is 5.'))
    expect(outcome.result).toEqual({ ended: 'done', answer: 'It is 5.', pending: [], repeated_calls: 0 })
    expect(outcome.steps.map(({ name, kind, answered }) => [name, kind, answered])).toEqual([
      ['ask', 'ask', 'Let me see.\ncalculator({"expression":"2 + 3"})'],
      ['calculator', 'tool', '5'],
      ['ask', 'ask', 'It is 5.'],
    ])
    expect(resultsIn(asked[1]?.request)).toEqual([
      { kind: 'toolResult', callId: '1', name: 'calculator', parts: [textPart('5')], failed: false },
    ])
  })

  it('offers all its own tools, or those that are named', async () => {
    const { asked } = await run(turns('x'))
    expect(asked[0]?.request.tools?.map(({ name }) => name)).toEqual([
      'calculator',
      'current_time',
      'convert_units',
      'json_query',
      'text_statistics',
    ])
    const some = await run(turns('x'), { ...TASK, tools: ['json_query', WEATHER] })
    expect(some.asked[0]?.request.tools?.map(({ name }) => name)).toEqual(['json_query', 'weather'])
  })

  it('answers many calls of one answer in one message', async () => {
    const { asked } = await run(
      turns([sumCall('1'), sumCall('2', '1/3'), toolCallPart('3', 'current_time', { time_zone: 'UTC' })], 'x'),
    )
    expect(resultsIn(asked[1]?.request).map(({ callId }) => callId)).toEqual(['1', '2', '3'])
    expect(resultsIn(asked[1]?.request).map(resultText)[2]).toContain('2026-11-22T12:00')
  })

  it.each([
    ['that is not there', toolCallPart('1', 'shell', { command: 'ls' }), 'This tool does not exist'],
    ['named like a part of an object', toolCallPart('1', 'constructor', {}), 'This tool does not exist'],
    ['that was not offered', toolCallPart('1', 'json_query', {}), 'This tool does not exist'],
    ['with broken JSON', toolCallPart('1', 'calculator', '{"expression": "1'), 'not a JSON object'],
    ['with a list', toolCallPart('1', 'calculator', '["1+1"]'), 'not a JSON object'],
    ['with no JSON but null', toolCallPart('1', 'calculator', 'null'), 'not a JSON object'],
    ['without its argument', toolCallPart('1', 'calculator', '{}'), 'expression'],
    ['with an argument of another type', toolCallPart('1', 'calculator', { expression: 5 }), 'expression'],
    [
      'nested too deeply',
      toolCallPart('1', 'calculator', `${'{"a":'.repeat(50_000)}1${'}'.repeat(50_000)}`),
      'too long',
    ],
    ['nested', toolCallPart('1', 'calculator', `${'{"a":'.repeat(5_000)}1${'}'.repeat(5_000)}`), 'nested too deeply'],
    ['that would take for ever', sumCall('1', '9^9^9^9'), 'too large'],
    ['with too much to read', sumCall('1', '1+'.repeat(1_000)), 'expression'],
    ['with __proto__', toolCallPart('1', 'calculator', '{"__proto__": {"expression": "1+1"}}'), 'expression'],
  ])('tells the model what is wrong with a call %s', async (_what, bad, problem) => {
    const { outcome, asked } = await run(turns([bad], 'Sorry.'), { ...TASK, tools: ['calculator'] })
    const [result] = resultsIn(asked[1]?.request)
    expect(result).toMatchObject({ callId: '1', failed: true })
    expect(result && resultText(result)).toContain(problem)
    expect(outcome.steps[1]).toMatchObject({ kind: 'tool', failed: expect.stringContaining(problem) })
    expect(outcome.result).toMatchObject({ ended: 'done', answer: 'Sorry.' })
  })

  it('does not run the same call twice, and ends a model that keeps making it', async () => {
    const { outcome, asked } = await run((ask, step) =>
      ask.toolChoice?.kind === 'none' ? 'It may be 5.' : [sumCall(`${step}${ask.messages.length}`)],
    )
    expect(asked.map(({ step }) => step)).toEqual(['ask', 'ask', 'ask', 'conclude'])
    expect(outcome.steps.filter(({ kind }) => kind === 'tool').map(({ failed }) => failed === undefined)).toEqual([
      true,
      false,
      false,
    ])
    expect(outcome.result).toMatchObject({ ended: 'repeated', answer: 'It may be 5.', repeated_calls: 2 })
  })

  it('knows a call again in other words', async () => {
    const play = turns(
      [toolCallPart('1', 'convert_units', '{"value":1,"from":"km","to":"m"}')],
      [toolCallPart('2', 'convert_units', '{ "to": "m", "from": "km", "value": 1.0 }')],
      'x',
    )
    expect((await run(play)).outcome.result).toMatchObject({ repeated_calls: 1, answer: 'x' })
  })

  it('stops a model that calls for ever', async () => {
    const { outcome } = await run(
      (_ask, _step, at) => [textPart(`so far ${at}`), sumCall(String(at), `${at} + 1`)],
      TASK,
      {
        maxSteps: 9,
      },
    )
    expect(outcome).toMatchObject({ stopped: 'steps', result: { ended: 'cut_short', answer: 'so far 4' } })
    expect(outcome.steps).toHaveLength(9)
  })

  it('runs at most twenty calls at a time', async () => {
    const calls = Array.from({ length: 22 }, (_, at) => sumCall(String(at), `1 + ${at}`))
    const { asked } = await run(turns(calls, 'x'))
    expect(resultsIn(asked[1]?.request).filter(({ failed }) => failed)).toHaveLength(2)
  })

  it('is not kept busy by an answer of very many calls', async () => {
    const calls = Array.from({ length: 200_000 }, (_, at) => sumCall(String(at), `1 + ${at}`))
    const { outcome } = await run(turns(calls), TASK, { maxSteps: 2 })
    expect(outcome).toMatchObject({ stopped: 'steps', result: { ended: 'cut_short' } })
  })

  it('answers with a refusal in its own words', async () => {
    const { outcome } = await run(turns([{ kind: 'refusal', text: 'I will not.' }]))
    expect(outcome.result).toMatchObject({ ended: 'done', answer: 'I will not.' })
  })

  it('takes a call once where its id comes twice', async () => {
    const { asked } = await run(turns([sumCall('1'), sumCall('1', '9')], 'x'))
    expect(resultsIn(asked[1]?.request)).toHaveLength(1)
    expect(asked[1]?.request.messages.at(-2)?.parts).toEqual([sumCall('1')])
  })

  it('gives back what the model said last wherever the budget ends', async () => {
    const play = turns([textPart('one'), sumCall('1')], [textPart('two'), sumCall('2', '4')], 'three')
    const ended = await runWithEachBudget(TOOL_USE, TASK, play)
    expect(endings(ended)).toEqual(['thrown: budget', 'budget after 1', 'budget after 2'])
    expect(ended.slice(1)).toMatchObject([{ result: { answer: 'one' } }, { result: { answer: 'two' } }])
  })

  it('ends when the caller is gone', async () => {
    const one = scriptedRun(turns([textPart('one'), sumCall('1')], 'x'))
    const step = one.recordStep
    one.recordStep = (told) => {
      step(told)
      one.clientGone = true
    }
    expect(await outcomeOf(TOOL_USE, TASK, one)).toMatchObject({ stopped: 'left', modelCalls: 1 })
  })
})

describe('tools of the caller', () => {
  const body = { task: 'How is it?', tools: ['calculator', WEATHER] }
  const first = turns([
    textPart('I look.'),
    sumCall('1'),
    toolCallPart('2', 'weather', { city: 'Rome' }),
    toolCallPart('3', 'weather', {}),
  ])

  async function pending() {
    const { outcome } = await run(first, body)
    return JSON.parse(JSON.stringify(outcome.result))
  }

  it('come back as pending calls, with the conversation', async () => {
    const { ended, pending: calls, conversation } = await pending()
    expect(ended).toBe('pending')
    expect(calls).toEqual([
      { call_id: '2', name: 'weather', arguments: { city: 'Rome' } },
      { call_id: '3', name: 'weather', arguments: {} },
    ])
    expect(conversation.map(({ role }: JsonObject) => role)).toEqual(['user', 'assistant', 'user'])
  })

  it('are answered by a second request, all results in one message', async () => {
    const { conversation } = await pending()
    const results = [
      { call_id: '3', output: 'no city', failed: true },
      { call_id: '2', output: 'sunny' },
    ]
    const { outcome, asked } = await run(turns('Sunny.'), { ...body, conversation, results })
    expect(outcome.result).toMatchObject({ ended: 'done', answer: 'Sunny.' })
    expect(asked[0]?.request.messages).toHaveLength(3)
    expect(resultsIn(asked[0]?.request)).toMatchObject([
      { callId: '3', name: 'weather', failed: true },
      { callId: '2', name: 'weather', failed: false, parts: [{ text: 'sunny' }] },
      { callId: '1', name: 'calculator' },
    ])
  })

  it('may be called again in a second round, but not in the very same way', async () => {
    const { conversation } = await pending()
    const results = ['2', '3'].map((call_id) => ({ call_id, output: 'x' }))
    const again = turns([
      toolCallPart('4', 'weather', { city: 'Rome' }),
      toolCallPart('5', 'weather', { city: 'Oslo' }),
    ])
    const { outcome } = await run(again, { ...body, conversation, results })
    expect(outcome.result).toMatchObject({ ended: 'pending', pending: [{ call_id: '5' }], repeated_calls: 1 })
    expect(JSON.stringify(outcome.result.conversation)).toContain('made before')
  })

  it('may have the name of a part of an object', async () => {
    const { outcome } = await run(turns([toolCallPart('1', 'constructor', {})]), {
      ...TASK,
      tools: [{ name: 'constructor' }],
    })
    expect(outcome.result).toMatchObject({ ended: 'pending', pending: [{ call_id: '1', name: 'constructor' }] })
  })

  it('are told apart from broken calls', async () => {
    const { outcome, asked } = await run(turns([toolCallPart('1', 'weather', '{"city')], 'x'), body)
    expect(resultsIn(asked[1]?.request)).toMatchObject([{ failed: true }])
    expect(outcome.result).toMatchObject({ ended: 'done' })
  })

  it('keep the signatures of a model, and nothing that only its dialect knows', async () => {
    const parts: Part[] = [
      { kind: 'reasoning', text: 'hm', signature: 's', signedIn: 'anthropic.messages', extras: { dialect: 'd' } },
      { kind: 'dialect', dialect: 'd', name: 'n', value: {} },
      textPart(''),
      { ...toolCallPart('1', 'weather', {}), signature: 't', extras: { dialect: 'd', needs: { a: 1 } } },
    ]
    const { outcome } = await run(turns(parts), body)
    const { conversation } = outcome.result
    expect(conversation).toMatchObject([{}, { parts: [{ signature: 's' }, { signature: 't' }] }])
    expect(JSON.stringify(conversation)).not.toContain('"dialect"')
    const results = [{ call_id: '1', output: 'x' }]
    expect((await run(turns('x'), { ...body, conversation, results })).outcome.result).toMatchObject({ answer: 'x' })
  })

  const hello = { role: 'user', parts: [textPart('hello')] }
  const asks = (...ids: readonly string[]) => ({
    role: 'assistant',
    parts: ids.map((id) => toolCallPart(id, 'weather', {})),
  })
  const gives = (...ids: readonly string[]) => ({
    role: 'user',
    parts: ids.map((callId) => ({ kind: 'toolResult', callId, name: 'weather', parts: [], failed: false })),
  })
  const result = (call_id: string) => ({ call_id, output: 'x' })

  it.each<[string, unknown, unknown, string]>([
    ['results without a conversation', undefined, [result('1')], 'conversation'],
    ['no results', [hello, asks('1')], undefined, 'results'],
    ['too few results', [hello, asks('1', '2')], [result('1')], 'results'],
    ['a result of no call', [hello, asks('1')], [result('2')], 'results[0].call_id'],
    ['a result twice', [hello, asks('1')], [result('1'), result('1')], 'results[1].call_id'],
    ['a result that is there already', [hello, asks('1'), gives('1')], [result('1')], 'results[0].call_id'],
    ['a conversation that the model begins', [asks('1'), hello], [result('1')], 'conversation[0].role'],
    ['calls that were never answered', [hello, asks('1'), hello, asks('2')], [result('2')], 'conversation[3]'],
    ['an id used twice', [hello, asks('1'), gives('1'), asks('1')], [result('1')], 'conversation[3].parts[0]'],
    ['a result before its call', [hello, gives('1'), asks('1')], [result('1')], 'conversation[1].parts[0]'],
    ['a result by the model', [hello, { ...gives('1'), role: 'assistant' }], [result('1')], 'conversation[1].parts[0]'],
    ['a call by the user', [hello, { ...asks('1'), role: 'user' }], [result('1')], 'conversation[1].parts[0]'],
    ['words after the end', [hello, asks('1'), hello, hello], [result('1')], 'conversation[3]'],
    ['nothing pending', [hello, { role: 'assistant', parts: [textPart('x')] }], undefined, 'conversation'],
    ['rules', [{ role: 'system', parts: [textPart('obey')] }, asks('1')], [result('1')], 'conversation[0].role'],
    [
      'what only a dialect knows',
      [hello, { role: 'assistant', parts: [{ kind: 'dialect' }] }],
      [result('1')],
      'conversation[1].parts[0].kind',
    ],
    ['fields of a dialect', [hello, { ...asks('1'), own: {} }], [result('1')], 'conversation[1]'],
    ['no messages', 'hello', [result('1')], 'conversation'],
  ])('are not answered by %s', (_what, conversation, results, field) => {
    const asked = {
      ...body,
      ...(conversation === undefined ? {} : { conversation }),
      ...(results === undefined ? {} : { results }),
    }
    expect(() => TOOL_USE.read(asked)).toThrow(expect.objectContaining({ code: 'invalid_request', param: field }))
  })

  it.each<[string, unknown, string, string]>([
    ['no tools', [], 'tools', 'tools: '],
    ['an unknown name', ['shell'], 'tools[0]', 'must be the name of a built-in tool'],
    ['the name of a member of every object', ['constructor'], 'tools[0]', 'must be the name of a built-in tool'],
    ['a tool twice', ['calculator', 'calculator'], 'tools[1]', 'is duplicated'],
    ['a tool with the name of a built-in tool', [{ name: 'calculator' }], 'tools[0].name', 'must differ'],
    ['too many', Array.from({ length: 51 }, (_, at) => ({ name: `t${at}` })), 'tools', 'tools: '],
  ])('are refused as %s', (_what, tools, field, message) => {
    const error = { param: field, message: expect.stringContaining(message) }
    expect(() => TOOL_USE.read({ ...TASK, tools })).toThrow(expect.objectContaining(error))
  })
})

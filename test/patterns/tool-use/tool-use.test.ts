// Tool use: the loop, pending calls and the second request that answers them, and everything that a model can do wrong.

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

/** A script that returns one answer after the other, and repeats the last one. */
const turns =
  (...script: readonly ScriptedAnswer[]): Script =>
  (_request, _step, index) =>
    script[Math.min(index, script.length - 1)] ?? ''

const run = async (script: Script, body: JsonObject = TASK, options = {}) => {
  const scripted = scriptedRun(script, options)
  return { outcome: await outcomeOf(TOOL_USE, body, scripted), requests: scripted.requests }
}

function resultsIn(request: ModelRequest | undefined): ToolResultPart[] {
  return (request?.messages.at(-1)?.parts ?? []).filter((part) => part.kind === 'toolResult')
}

const resultText = ({ parts }: ToolResultPart) => parts.map((part) => (part.kind === 'text' ? part.text : '')).join('')

describe('tool use', () => {
  it('runs calls until the model makes none', async () => {
    const { outcome, requests } = await run(turns([textPart('Let me see.'), sumCall('1')], 'It is 5.'))
    expect(outcome.result).toEqual({ ended: 'done', answer: 'It is 5.', pending: [], repeated_calls: 0 })
    expect(outcome.steps.map(({ name, kind, answered }) => [name, kind, answered])).toEqual([
      ['ask', 'ask', 'Let me see.\ncalculator({"expression":"2 + 3"})'],
      ['calculator', 'tool', '5'],
      ['ask', 'ask', 'It is 5.'],
    ])
    expect(resultsIn(requests[1]?.request)).toEqual([
      { kind: 'toolResult', callId: '1', name: 'calculator', parts: [textPart('5')], failed: false },
    ])
  })

  it('offers all built-in tools, or those that are named', async () => {
    const { requests } = await run(turns('x'))
    expect(requests[0]?.request.tools?.map(({ name }) => name)).toEqual([
      'calculator',
      'current_time',
      'convert_units',
      'json_query',
      'text_statistics',
    ])
    const example = await run(turns('x'), { ...TASK, tools: ['json_query', WEATHER] })
    expect(example.requests[0]?.request.tools?.map(({ name }) => name)).toEqual(['json_query', 'weather'])
  })

  it('sends the results of one response in one message', async () => {
    const { requests } = await run(
      turns([sumCall('1'), sumCall('2', '1/3'), toolCallPart('3', 'current_time', { time_zone: 'UTC' })], 'x'),
    )
    expect(resultsIn(requests[1]?.request).map(({ callId }) => callId)).toEqual(['1', '2', '3'])
    expect(resultsIn(requests[1]?.request).map(resultText)[2]).toContain('2026-11-22T12:00')
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
  ])('shows the model what is wrong with a call %s', async (_case, bad, problem) => {
    const { outcome, requests } = await run(turns([bad], 'Sorry.'), { ...TASK, tools: ['calculator'] })
    const [result] = resultsIn(requests[1]?.request)
    expect(result).toMatchObject({ callId: '1', failed: true })
    expect(result && resultText(result)).toContain(problem)
    expect(outcome.steps[1]).toMatchObject({ kind: 'tool', failed: expect.stringContaining(problem) })
    expect(outcome.result).toMatchObject({ ended: 'done', answer: 'Sorry.' })
  })
})

describe('a call that is made again', () => {
  it('is not run twice, and ends the run of a model that keeps making it', async () => {
    const { outcome, requests } = await run((request, step) =>
      request.toolChoice?.kind === 'none' ? 'It may be 5.' : [sumCall(`${step}${request.messages.length}`)],
    )
    expect(requests.map(({ step }) => step)).toEqual(['ask', 'ask', 'ask', 'conclude'])
    expect(outcome.steps.filter(({ kind }) => kind === 'tool').map(({ failed }) => failed === undefined)).toEqual([
      true,
      false,
      false,
    ])
    expect(outcome.result).toMatchObject({ ended: 'repeated', answer: 'It may be 5.', repeated_calls: 2 })
  })

  it('is recognised in another spelling', async () => {
    const script = turns(
      [toolCallPart('1', 'convert_units', '{"value":1,"from":"km","to":"m"}')],
      [toolCallPart('2', 'convert_units', '{ "to": "m", "from": "km", "value": 1.0 }')],
      'x',
    )
    expect((await run(script)).outcome.result).toMatchObject({ repeated_calls: 1, answer: 'x' })
  })

  it('is stopped if the model never ends', async () => {
    const { outcome } = await run(
      (_request, _step, index) => [textPart(`so far ${index}`), sumCall(String(index), `${index} + 1`)],
      TASK,
      {
        maxSteps: 9,
      },
    )
    expect(outcome).toMatchObject({ stopped: 'steps', result: { ended: 'cut_short', answer: 'so far 4' } })
    expect(outcome.steps).toHaveLength(9)
  })
})

describe('very many calls, and runs that end early', () => {
  it('are run twenty at a time', async () => {
    const calls = Array.from({ length: 22 }, (_, index) => sumCall(String(index), `1 + ${index}`))
    const { requests } = await run(turns(calls, 'x'))
    expect(resultsIn(requests[1]?.request).filter(({ failed }) => failed)).toHaveLength(2)
  })

  it('take little time', async () => {
    const calls = Array.from({ length: 200_000 }, (_, index) => sumCall(String(index), `1 + ${index}`))
    const { outcome } = await run(turns(calls), TASK, { maxSteps: 2 })
    expect(outcome).toMatchObject({ stopped: 'steps', result: { ended: 'cut_short' } })
  })

  it('can end with a refusal of the model', async () => {
    const { outcome } = await run(turns([{ kind: 'refusal', text: 'I will not.' }]))
    expect(outcome.result).toMatchObject({ ended: 'done', answer: 'I will not.' })
  })

  it('are run once if they have the same id', async () => {
    const { requests } = await run(turns([sumCall('1'), sumCall('1', '9')], 'x'))
    expect(resultsIn(requests[1]?.request)).toHaveLength(1)
    expect(requests[1]?.request.messages.at(-2)?.parts).toEqual([sumCall('1')])
  })

  it('return the last text of the model, wherever the budget ends', async () => {
    const script = turns([textPart('one'), sumCall('1')], [textPart('two'), sumCall('2', '4')], 'three')
    const ended = await runWithEachBudget(TOOL_USE, TASK, script)
    expect(endings(ended)).toEqual(['thrown: budget', 'budget after 1', 'budget after 2'])
    expect(ended.slice(1)).toMatchObject([{ result: { answer: 'one' } }, { result: { answer: 'two' } }])
  })

  it('end when the caller has disconnected', async () => {
    const scripted = scriptedRun(turns([textPart('scripted'), sumCall('1')], 'x'))
    const step = scripted.recordStep
    scripted.recordStep = (expected) => {
      step(expected)
      scripted.clientGone = true
    }
    expect(await outcomeOf(TOOL_USE, TASK, scripted)).toMatchObject({ stopped: 'left', modelCalls: 1 })
  })
})

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

const hello = { role: 'user', parts: [textPart('hello')] }

const asks = (...ids: readonly string[]) => ({
  role: 'assistant',
  parts: ids.map((id) => ({ ...toolCallPart(id, 'weather', {}), kind: 'tool_call' })),
})

const gives = (...ids: readonly string[]) => ({
  role: 'user',
  parts: ids.map((call_id) => ({ kind: 'tool_result', call_id, name: 'weather', parts: [], failed: false })),
})

const result = (call_id: string) => ({ call_id, output: 'x' })

describe('tools of the caller', () => {
  it('are returned as pending calls, with the conversation', async () => {
    const { ended, pending: calls, conversation } = await pending()
    expect(ended).toBe('pending')
    expect(calls).toEqual([
      { call_id: '2', name: 'weather', arguments: { city: 'Rome' } },
      { call_id: '3', name: 'weather', arguments: {} },
    ])
    expect(conversation.map(({ role }: JsonObject) => role)).toEqual(['user', 'assistant', 'user'])
    expect(conversation[2].parts).toMatchObject([{ kind: 'tool_result', call_id: '1', name: 'calculator' }])
  })

  it('are answered by a second request, all results in one message', async () => {
    const { conversation } = await pending()
    const results = [
      { call_id: '3', output: 'no city', failed: true },
      { call_id: '2', output: 'sunny' },
    ]
    const { outcome, requests } = await run(turns('Sunny.'), { ...body, conversation, results })
    expect(outcome.result).toMatchObject({ ended: 'done', answer: 'Sunny.' })
    expect(requests[0]?.request.messages).toHaveLength(3)
    expect(resultsIn(requests[0]?.request)).toMatchObject([
      { callId: '3', name: 'weather', failed: true },
      { callId: '2', name: 'weather', failed: false, parts: [{ text: 'sunny' }] },
      { callId: '1', name: 'calculator' },
    ])
  })

  it('can be called again in a second round, but not with the same arguments', async () => {
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

  it('can have the name of a member of every object', async () => {
    const { outcome } = await run(turns([toolCallPart('1', 'constructor', {})]), {
      ...TASK,
      tools: [{ name: 'constructor' }],
    })
    expect(outcome.result).toMatchObject({ ended: 'pending', pending: [{ call_id: '1', name: 'constructor' }] })
  })

  it('are pending only if the call is valid', async () => {
    const { outcome, requests } = await run(turns([toolCallPart('1', 'weather', '{"city')], 'x'), body)
    expect(resultsIn(requests[1]?.request)).toMatchObject([{ failed: true }])
    expect(outcome.result).toMatchObject({ ended: 'done' })
  })

  it('keep the signatures of a model, and nothing that only its dialect has', async () => {
    const parts: Part[] = [
      { kind: 'reasoning', text: 'hm', signature: 's', signedIn: 'anthropic.messages', extras: { dialect: 'd' } },
      { kind: 'dialect', dialect: 'd', name: 'n', value: {} },
      textPart(''),
      { ...toolCallPart('1', 'weather', {}), signature: 't', extras: { dialect: 'd', needs: { a: 1 } } },
    ]
    const { outcome } = await run(turns(parts), body)
    const { conversation } = outcome.result
    expect(conversation).toMatchObject([
      {},
      {
        parts: [
          { kind: 'reasoning', signature: 's', signed_in: 'anthropic.messages' },
          { kind: 'tool_call', signature: 't' },
        ],
      },
    ])
    expect(JSON.stringify(conversation)).not.toContain('"dialect"')
    const results = [{ call_id: '1', output: 'x' }]
    const second = await run(turns('x'), { ...body, conversation, results })
    expect(second.outcome.result).toMatchObject({ answer: 'x' })
    expect(second.requests[0]?.request.messages[1]?.parts).toEqual([
      { kind: 'reasoning', text: 'hm', signature: 's', signedIn: 'anthropic.messages' },
      { ...toolCallPart('1', 'weather', {}), signature: 't' },
    ])
  })
})

describe('pending calls', () => {
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
      'a part that only one dialect has',
      [hello, { role: 'assistant', parts: [{ kind: 'dialect' }] }],
      [result('1')],
      'conversation[1].parts[0].kind',
    ],
    ['fields of a dialect', [hello, { ...asks('1'), own: {} }], [result('1')], 'conversation[1]'],
    ['no messages', 'hello', [result('1')], 'conversation'],
  ])('cannot be answered with %s', (_case, conversation, results, field) => {
    const requests = {
      ...body,
      ...(conversation === undefined ? {} : { conversation }),
      ...(results === undefined ? {} : { results }),
    }
    expect(() => TOOL_USE.read(requests)).toThrow(expect.objectContaining({ code: 'invalid_request', param: field }))
  })
})

describe('tool definitions', () => {
  it.each<[string, unknown, string, string]>([
    ['no tools', [], 'tools', 'tools: '],
    ['an unknown name', ['shell'], 'tools[0]', 'must be the name of a built-in tool'],
    ['the name of a member of every object', ['constructor'], 'tools[0]', 'must be the name of a built-in tool'],
    ['a tool twice', ['calculator', 'calculator'], 'tools[1]', 'is duplicated'],
    ['a tool with the name of a built-in tool', [{ name: 'calculator' }], 'tools[0].name', 'must differ'],
    ['too many', Array.from({ length: 51 }, (_, index) => ({ name: `t${index}` })), 'tools', 'tools: '],
  ])('are refused: %s', (_case, tools, field, message) => {
    const error = { param: field, message: expect.stringContaining(message) }
    expect(() => TOOL_USE.read({ ...TASK, tools })).toThrow(expect.objectContaining(error))
  })
})

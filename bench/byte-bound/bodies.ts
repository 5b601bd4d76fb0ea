// Bodies: a request as the body of one dialect, as short as it can be written.

import { type JsonNode, list, type Member, object, text, word, written } from './json-text.ts'
import type { DraftRequest, Tool, Turn } from './requests.ts'

/** The dialects in which requests are written. */
export type BodyDialect = keyof typeof WRITERS

/** @param model as the provider names it; Gemini's is in the path */
export function bodyOf(dialect: BodyDialect, model: string, request: DraftRequest): string {
  return written(WRITERS[dialect](model, request))
}

const WRITERS = {
  'openai.chat': chatBody,
  'openai.responses': responsesBody,
  'anthropic.messages': messagesBody,
  'gemini.generateContent': generateBody,
} as const

/** Some templates refuse ids of another length. */
const CALL_ID = 'abcdefghi'

/** What users and models say, by the names of a dialect. A call is followed by its result. */
function messages(
  { turns }: DraftRequest,
  said: (isModel: boolean, turn: Turn & { kind: 'said' }) => readonly JsonNode[],
  called: (turn: Turn & { kind: 'call' }) => readonly JsonNode[],
): JsonNode[] {
  return turns.flatMap((turn, index) => (turn.kind === 'said' ? said(index % 2 === 1, turn) : called(turn)))
}

function saidMessage(isModel: boolean, { value, escaped }: Turn & { kind: 'said' }): JsonNode[] {
  return [
    object([
      ['role', text(isModel ? 'assistant' : 'user')],
      ['content', text(value, escaped)],
    ]),
  ]
}

function chatBody(model: string, request: DraftRequest): JsonNode {
  const spoken = messages(request, saidMessage, ({ name, input, result }) => [
    object([
      ['role', text('assistant')],
      [
        'tool_calls',
        list([
          object([
            ['id', text(CALL_ID)],
            ['type', text('function')],
            [
              'function',
              object([
                ['name', text(name)],
                ['arguments', text(written(input))],
              ]),
            ],
          ]),
        ]),
      ],
    ]),
    object([
      ['role', text('tool')],
      ['tool_call_id', text(CALL_ID)],
      ['content', text(result)],
    ]),
  ])
  const system =
    request.system === null
      ? []
      : [
          object([
            ['role', text('system')],
            ['content', text(request.system)],
          ]),
        ]
  const tools = request.tools.map((tool) =>
    object([
      ['type', text('function')],
      ['function', functionOf(tool, 'parameters')],
    ]),
  )
  return object([['model', text(model)], ['messages', list([...system, ...spoken])], ...toolsMember(tools)])
}

function responsesBody(model: string, request: DraftRequest): JsonNode {
  const spoken = messages(request, saidMessage, ({ name, input, result }) => [
    object([
      ['type', text('function_call')],
      ['call_id', text('c')],
      ['name', text(name)],
      ['arguments', text(written(input))],
    ]),
    object([
      ['type', text('function_call_output')],
      ['call_id', text('c')],
      ['output', text(result)],
    ]),
  ])
  const system: readonly Member[] = request.system === null ? [] : [['instructions', text(request.system)]]
  const tools = request.tools.map((tool) => {
    const described = functionOf(tool, 'parameters')
    return object([['type', text('function')], ...(described.kind === 'object' ? described.members : [])])
  })
  return object([['model', text(model)], ...system, ['input', list(spoken)], ...toolsMember(tools)])
}

function messagesBody(model: string, request: DraftRequest): JsonNode {
  const spoken = messages(request, saidMessage, ({ name, input, result }) => [
    object([
      ['role', text('assistant')],
      [
        'content',
        list([
          object([
            ['type', text('tool_use')],
            ['id', text('c')],
            ['name', text(name)],
            ['input', input],
          ]),
        ]),
      ],
    ]),
    object([
      ['role', text('user')],
      [
        'content',
        list([
          object([
            ['type', text('tool_result')],
            ['tool_use_id', text('c')],
            ['content', text(result)],
          ]),
        ]),
      ],
    ]),
  ])
  const system: readonly Member[] = request.system === null ? [] : [['system', text(request.system)]]
  const tools = request.tools.map((tool) => functionOf(tool, 'input_schema'))
  return object([
    ['model', text(model)],
    ['max_tokens', word(1)],
    ...system,
    ['messages', list(spoken)],
    ...toolsMember(tools),
  ])
}

function generateBody(_model: string, request: DraftRequest): JsonNode {
  const content = (role: string, part: JsonNode) =>
    object([
      ['role', text(role)],
      ['parts', list([part])],
    ])
  const spoken = messages(
    request,
    (isModel, { value, escaped }) => [content(isModel ? 'model' : 'user', object([['text', text(value, escaped)]]))],
    ({ name, input, result }) => [
      content(
        'model',
        object([
          [
            'functionCall',
            object([
              ['name', text(name)],
              ['args', input],
            ]),
          ],
        ]),
      ),
      content(
        'user',
        object([
          [
            'functionResponse',
            object([
              ['name', text(name)],
              ['response', object([['a', text(result)]])],
            ]),
          ],
        ]),
      ),
    ],
  )
  const system: readonly Member[] =
    request.system === null
      ? []
      : [['systemInstruction', object([['parts', list([object([['text', text(request.system)]])])]])]]
  const declarations = request.tools.map((tool) => functionOf(tool, 'parametersJsonSchema'))
  const tools = declarations.length === 0 ? [] : [object([['functionDeclarations', list(declarations)]])]
  return object([['contents', list(spoken)], ...system, ...toolsMember(tools)])
}

function functionOf({ name, description, parameters }: Tool, schemaKey: string): JsonNode {
  const described: readonly Member[] = description === null ? [] : [['description', text(description)]]
  return object([['name', text(name)], ...described, [schemaKey, parameters]])
}

function toolsMember(tools: readonly JsonNode[]): readonly Member[] {
  return tools.length === 0 ? [] : [['tools', list(tools)]]
}

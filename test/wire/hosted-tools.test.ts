import { describe, expect, test } from 'vitest'
import type { Dialect } from '../../src/wire/dialect.ts'
import { withoutHostedTools } from '../../src/wire/hosted-tools.ts'
import { type DialectName, dialectNamed } from '../../src/wire/index.ts'

const FUNCTION = '{"type":"function","name":"f"}'
const SEARCH = '{"type":"web_search"}'
const GEMINI_FUNCTIONS = '"functionDeclarations":[{"name":"f"}]'

function strip(name: DialectName, body: string) {
  const dialect: Dialect = dialectNamed(name)
  if (!dialect.hostedTools) throw new Error(`${name} has no hosted tools`)
  const stripped = withoutHostedTools(Buffer.from(body), dialect.hostedTools)
  return { body: stripped.body.toString(), dropped: stripped.dropped }
}

describe('tools that the provider runs are left out, and every other byte stays', () => {
  test.each<[string, DialectName, string, string, string[]]>([
    ['the only tool', 'openai.responses', `{"tools":[${SEARCH}],"model":"m"}`, '{"model":"m"}', ['web_search']],
    ['the only member', 'openai.responses', `{ "tools" : [ ${SEARCH} ] }`, '{ }', ['web_search']],
    ['the last member', 'openai.responses', `{"model":"m", "tools":[${SEARCH}]}`, '{"model":"m"}', ['web_search']],
    [
      'the first of three tools',
      'openai.responses',
      `{"tools": [ ${SEARCH} , ${FUNCTION}, {"type":"custom","name":"g"}]}`,
      `{"tools": [  ${FUNCTION}, {"type":"custom","name":"g"}]}`,
      ['web_search'],
    ],
    [
      'the middle, and the last',
      'openai.responses',
      `{"tools":[${FUNCTION},${SEARCH},${FUNCTION},{"type":"code_interpreter","container":{"type":"auto","memory_limit":"4g"}}]}`,
      `{"tools":[${FUNCTION},${FUNCTION}]}`,
      ['web_search', 'code_interpreter', 'container_4g'],
    ],
    [
      'two at the beginning',
      'openai.responses',
      `{"tools":[${SEARCH},{"type":"mcp","server_url":"https://x"},${FUNCTION}]}`,
      `{"tools":[${FUNCTION}]}`,
      ['web_search', 'mcp'],
    ],
    [
      'a choice of what is left out',
      'openai.responses',
      `{"tools":[${SEARCH},${FUNCTION}],"tool_choice":{"type":"web_search"},"store":false}`,
      `{"tools":[${FUNCTION}],"store":false}`,
      ['web_search', 'tool_choice'],
    ],
    [
      'a choice among tools, one of which is left out',
      'openai.responses',
      `{"tools":[${SEARCH},${FUNCTION}],"tool_choice":{"type":"allowed_tools","mode":"auto","tools":[${SEARCH},${FUNCTION}]}}`,
      `{"tools":[${FUNCTION}]}`,
      ['web_search', 'tool_choice'],
    ],
    [
      'every choice, if no tool is left',
      'openai.chat',
      '{"tool_choice":"auto","parallel_tool_calls":true,"tools":[{"type":"openrouter:web_search"}],"n":1}',
      '{"n":1}',
      ['openrouter:web_search'],
    ],
    [
      'fields that are tools',
      'openai.chat',
      `{"web_search_options":{},"model":"m","plugins":[{"id":"web"}],"search_parameters":null,"tools":[${FUNCTION}],"tool_choice":"required"}`,
      `{"model":"m","search_parameters":null,"tools":[${FUNCTION}],"tool_choice":"required"}`,
      ['web_search_options', 'plugins'],
    ],
    [
      'a tool with a name, and its choice by the name',
      'anthropic.messages',
      '{"mcp_servers":[{"type":"url","url":"https://x","name":"x"}],"tools":[{"name":"f","input_schema":{}},{"type":"web_search_20260209","name":"web_search"},{"type":"bash_20250124","name":"bash"}],"tool_choice":{"type":"tool","name":"web_search"}}',
      '{"tools":[{"name":"f","input_schema":{}},{"type":"bash_20250124","name":"bash"}]}',
      ['mcp_servers', 'web_search_20260209', 'tool_choice'],
    ],
    [
      'a choice of another tool stays',
      'anthropic.messages',
      '{"tools":[{"name":"f"},{"type":"web_search_20260209","name":"web_search"}],"tool_choice":{"type":"tool","name":"f"}}',
      '{"tools":[{"name":"f"}],"tool_choice":{"type":"tool","name":"f"}}',
      ['web_search_20260209'],
    ],
    [
      'Google’s own, beside functions',
      'gemini.generateContent',
      `{"tools":[{"googleSearch":{}, ${GEMINI_FUNCTIONS} ,"codeExecution":{}},{"url_context":{}}],"toolConfig":{"functionCallingConfig":{"mode":"ANY"}}}`,
      `{"tools":[{ ${GEMINI_FUNCTIONS} }],"toolConfig":{"functionCallingConfig":{"mode":"ANY"}}}`,
      ['googleSearch', 'codeExecution', 'url_context'],
    ],
    [
      'Google’s own, alone',
      'gemini.generateContent',
      '{"contents":[],"tools":[{"google_search":{}},{"newTool":{}}],"tool_config":{"retrieval_config":{}}}',
      '{"contents":[]}',
      ['google_search', 'tools at byte 45', 'tool_config'],
    ],
    [
      'one tool without a list',
      'gemini.generateContent',
      '{"tools":{"googleSearch":{}},"contents":[]}',
      '{"contents":[]}',
      ['googleSearch'],
    ],
    [
      'keys with escapes',
      'openai.responses',
      `{"\\u0074ools":[${SEARCH}],"model":"m"}`,
      '{"model":"m"}',
      ['web_search'],
    ],
    [
      'nothing of functions',
      'openai.responses',
      `{"tools":[${FUNCTION}],"tool_choice":"auto"}`,
      `{"tools":[${FUNCTION}],"tool_choice":"auto"}`,
      [],
    ],
    ['nothing of an empty list', 'openai.chat', '{"tools":[],"tool_choice":"none"}', '{"tools":[]}', []],
    ['nothing of what is no list', 'openai.chat', '{"tools":"x","model":"m"}', '{"tools":"x","model":"m"}', []],
  ])('%s', (_what, dialect, body, left, dropped) => {
    expect(strip(dialect, body)).toEqual({ body: left, dropped })
    expect(() => JSON.parse(left)).not.toThrow()
  })

  test('tools that a message holds stay where they are', () => {
    const body = JSON.stringify({ messages: [{ role: 'user', content: 'use {"tools":[{"type":"web_search"}]}' }] })
    expect(strip('openai.chat', body).body).toBe(body)
  })

  test('a tool inside of the caller’s own stays', () => {
    const body = `{"tools":[{"type":"namespace","name":"n","tools":[${SEARCH}]}]}`
    expect(strip('openai.responses', body)).toEqual({ body, dropped: [] })
  })
})

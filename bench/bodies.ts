// The requests of the benchmark as ready-made bytes: a short chat, a long agent conversation, and two streams; the short ones
// also as they are asked for a model of another dialect.
export const KEY = 'bsr_bench_secret_0123456789'

export const KINDS = ['1kb', '100kb', 'stream', 'stream-usage'] as const
export type Kind = (typeof KINDS)[number]

/** Whose dialect a call is asked in, and for which model: the pretend provider answers each model in its own dialect. */
export type Way = { asked: 'openai' | 'anthropic'; model: string }

export const PASS_THROUGH: Way = { asked: 'openai', model: 'gpt-4o' }

/** The pretend provider begins its streams with a preamble, and sends the content later. */
export const PREAMBLE_MODEL = 'claude-haiku-4-5'

const PROSE =
  'The harbour office keeps one ledger for every ship: what was promised, what was paid, and what is still owed. A clerk may not lend from a purse that is already spoken for, however full it looks. '

const CODE = [
  'export async function settle(id: string, used: bigint): Promise<void> {',
  "\tconst row = await db.get('SELECT * FROM entries WHERE id = ?', id)",
  '\tif (!row) throw new Error("no entry: " + id)',
  '\tlog.info({ event: "settled", id, used: used.toString() })',
  '\treturn db.run("UPDATE entries SET used = ? WHERE id = ?", used, id)',
  '}',
  '',
]

const prose = (length: number) => PROSE.repeat(Math.ceil(length / PROSE.length)).slice(0, length)

/** Numbered lines, as an agent's file reader prints them: newlines, tabs and double quotes all need escapes in JSON. */
function code(length: number): string {
  let text = ''
  for (let line = 1; text.length < length; line++) text += `${line}\t${CODE[line % CODE.length]}\n`
  return text
}

const SYSTEM = 'You are a concise assistant. Answer in plain English.'

function shortChat({ asked, model }: Way): object {
  const messages = [
    { role: 'user', content: 'What does a bursar do?' },
    { role: 'assistant', content: prose(180) },
    { role: 'user', content: prose(490) },
  ]
  const settings = { model, max_tokens: 100, temperature: 0.2 }
  if (asked === 'anthropic') return { ...settings, system: SYSTEM, messages }
  return { ...settings, messages: [{ role: 'system', content: SYSTEM }, ...messages] }
}

function tool(index: number): object {
  const parameter = (name: string) => ({ type: 'string', description: `${name}: ${prose(160)}` })
  return {
    type: 'function',
    function: {
      name: `workspace_tool_${index}`,
      description: prose(300),
      parameters: {
        type: 'object',
        properties: { path: parameter('path'), pattern: parameter('pattern'), limit: { type: 'integer', minimum: 1 } },
        required: ['path'],
        additionalProperties: false,
      },
    },
  }
}

function turn(index: number): object[] {
  const id = `call_${index}`
  const call = { name: 'workspace_tool_1', arguments: JSON.stringify({ path: `src/file${index}.ts`, pattern: '"use' }) }
  return [
    { role: 'user', content: prose(400) },
    { role: 'assistant', content: prose(200), tool_calls: [{ id, type: 'function', function: call }] },
    { role: 'tool', tool_call_id: id, content: code(3000) },
  ]
}

function agentChat(): object {
  const messages: object[] = [{ role: 'system', content: `${prose(4000)}\n\n${code(1500)}` }]
  for (let index = 0; index < 20; index++) messages.push(...turn(index))
  messages.push({ role: 'user', content: 'Now fix the last error and say "done".' })
  return { model: 'gpt-4o', max_tokens: 100, messages, tools: Array.from({ length: 10 }, (_, index) => tool(index)) }
}

export function bodyOf(kind: Kind, way = PASS_THROUGH): string {
  if (kind === '1kb') return JSON.stringify(shortChat(way))
  if (kind === '100kb') return JSON.stringify(agentChat())
  const usage = kind === 'stream-usage' ? { stream_options: { include_usage: true } } : {}
  return JSON.stringify({ ...shortChat(way), stream: true, ...usage })
}

const PATHS = { openai: '/v1/chat/completions', anthropic: '/v1/messages' }

/** A whole HTTP/1.1 request, the same bytes for every gateway under test but for the headers it needs of its own. */
export function requestOf(kind: Kind, port: number, headers: readonly string[] = [], way = PASS_THROUGH): Buffer {
  const body = bodyOf(kind, way)
  const head = [
    `POST ${PATHS[way.asked]} HTTP/1.1`,
    `host: 127.0.0.1:${port}`,
    'user-agent: bursar-bench',
    'accept: application/json',
    'content-type: application/json',
    `authorization: Bearer ${KEY}`,
    `content-length: ${Buffer.byteLength(body)}`,
    ...headers,
  ]
  return Buffer.from(`${head.join('\r\n')}\r\n\r\n${body}`)
}

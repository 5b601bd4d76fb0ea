// Clients of the table of refusals: how each one asks, and what it does about an answer. Each rule is the client's own, as its
// program has it or was seen to have it; docs/refusals.md has what the real ones did.

import type { DialectName } from '../../call/dialect-fixtures.ts'

/** What a client gets. */
export interface RefusalAnswer {
  readonly status: number
  readonly headers: Headers
  readonly text: string
}

/** `waits`: comes back when the answer says. `repeats`: comes back by itself. `hides`: ends, and shows words of its own. */
export type Reaction = 'stops' | 'hides' | 'waits' | 'repeats'

export interface RefusalClient {
  readonly name: string
  readonly dialect: DialectName | 'responses'
  readonly headers: Readonly<Record<string, string>>
  reactsTo(answer: RefusalAnswer): Reaction
}

const isTransient = (status: number) => status === 408 || status === 409 || status === 429 || status >= 500
const secondsIn = ({ headers }: RefusalAnswer) => Number(headers.get('retry-after') ?? Number.NaN)

/** The SDKs of OpenAI and Anthropic: `x-should-retry` first, then the status; a wait of at most two minutes is made. */
function vendorSdk(answer: RefusalAnswer): Reaction {
  const advice = answer.headers.get('x-should-retry')
  if (advice === 'false' || (advice === null && !isTransient(answer.status))) return 'stops'
  return secondsIn(answer) <= 120 ? 'waits' : 'repeats'
}

/** The AI SDK reads no advice, and repeats what is transient. */
function aiSdk(answer: RefusalAnswer): Reaction {
  if (!isTransient(answer.status)) return 'stops'
  return secondsIn(answer) <= 60 ? 'waits' : 'repeats'
}

/** LangChain repeats a 429 only if it says when. */
function langchain(answer: RefusalAnswer): Reaction {
  if (answer.status !== 429) return isTransient(answer.status) ? 'repeats' : 'stops'
  return secondsIn(answer) <= 60 ? 'waits' : 'stops'
}

/** litellm, and aider by it: the words "rate limit" anywhere in the error, and the number 429, mean "try again". */
function litellm({ status, text }: RefusalAnswer): Reaction {
  if (status === 429 || /\b429\b/.test(text) || /rate[ _-]limit/i.test(text)) return 'repeats'
  return status === 400 ? 'stops' : 'repeats'
}

function codex(answer: RefusalAnswer): Reaction {
  if (answer.status === 400) return 'stops'
  if (answer.status !== 429) return 'repeats'
  if (JSON.parse(answer.text).error.code === 'insufficient_quota') return 'hides'
  return secondsIn(answer) >= 0 ? 'waits' : 'repeats'
}

/** The tests of opencode's program, on the message and on the body as it came. */
const OPENCODE_WORDS = [
  /429|500|502|503|504|524/i,
  /rate increased too quickly|rate limit|rate-limit|rate_limit|too many requests/i,
  /overloaded|service unavailable|service_unavailable|service-unavailable|internal error|internal_error|internal server error|server error|server_error|server-error|provider returned error|provider_returned_error|provider-returned-error/i,
  /terminated|fetch failed|failed to fetch|network[-_\s]error|upstream connect|connection error|connection refused|connection lost|getaddrinfo|econnrefused|econnreset|etimedout/i,
  /^timeout$|\b(?:request|response|connection|network|stream|read) (?:timeout|timed out|time out)\b/i,
  /try your request again|retry your request|resource exhausted|resource_exhausted/i,
  /\btry again (?:later|in\b)|\b(?:currently|temporarily) at capacity\b/i,
]

function opencode(answer: RefusalAnswer): Reaction {
  const { status, text } = answer
  const texts = [JSON.parse(text).error.message, text]
  if (!isTransient(status) && !OPENCODE_WORDS.some((words) => texts.some((part) => words.test(part)))) return 'stops'
  return secondsIn(answer) >= 0 ? 'waits' : 'repeats'
}

/** Gemini CLI: of a 429, a delay of more than five minutes ends it, and so do the other statuses of callers' mistakes. */
function geminiCli({ status, text }: RefusalAnswer): Reaction {
  if (status !== 429 && status < 500) return 'stops'
  const delay = /"retryDelay":"([\d.]+)s"/.exec(text)?.[1]
  if (delay === undefined) return 'repeats'
  return Number(delay) > 300 ? 'stops' : 'waits'
}

/** Claude Code takes a 400 for a field that the API does not know yet, and leaves out more and more of them. */
function claudeCode(answer: RefusalAnswer): Reaction {
  return answer.status === 400 ? 'repeats' : vendorSdk(answer)
}

/** LlamaIndex for Python reads `Retry-After` up to two minutes, and nothing else. */
function llamaIndex(answer: RefusalAnswer): Reaction {
  if (!isTransient(answer.status)) return 'stops'
  return secondsIn(answer) >= 0 ? 'waits' : 'repeats'
}

const stops = (): Reaction => 'stops'

export const REFUSAL_CLIENTS: readonly RefusalClient[] = [
  {
    name: 'Claude Code',
    dialect: 'anthropic',
    headers: {
      'user-agent': 'claude-cli/2.1.332 (external, sdk-cli)',
      'x-app': 'cli',
      'anthropic-version': '2023-06-01',
    },
    reactsTo: claudeCode,
  },
  {
    name: 'Codex',
    dialect: 'responses',
    headers: { 'user-agent': 'codex_exec/0.171.0 (Debian 12.0.0; x86_64) unknown', originator: 'codex_exec' },
    reactsTo: codex,
  },
  {
    name: 'Gemini CLI',
    dialect: 'gemini',
    headers: { 'user-agent': 'GeminiCLI/0.61.0/gemini-3.1-pro-preview (linux; x64; terminal)' },
    reactsTo: geminiCli,
  },
  { name: 'opencode', dialect: 'openai', headers: { 'user-agent': 'opencode/1.18.33' }, reactsTo: opencode },
  { name: 'aider', dialect: 'openai', headers: { 'user-agent': 'OpenAI/Python 1.99.1' }, reactsTo: litellm },
  { name: 'llm', dialect: 'openai', headers: { 'user-agent': 'OpenAI/Python 3.57.0' }, reactsTo: vendorSdk },
  { name: 'openai', dialect: 'openai', headers: { 'user-agent': 'OpenAI/JS 7.59.0' }, reactsTo: vendorSdk },
  { name: 'anthropic', dialect: 'anthropic', headers: { 'user-agent': 'Anthropic/JS 1.14.0' }, reactsTo: vendorSdk },
  { name: 'google-genai', dialect: 'gemini', headers: { 'user-agent': 'google-genai-sdk/3.6.1' }, reactsTo: stops },
  { name: 'LangChain', dialect: 'openai', headers: { 'user-agent': 'langchainjs-openai/1.0.0' }, reactsTo: langchain },
  { name: 'AI SDK', dialect: 'openai', headers: { 'user-agent': 'ai/7.0.173 ai-sdk/openai/4.0.118' }, reactsTo: aiSdk },
  { name: 'Mastra', dialect: 'openai', headers: { 'user-agent': 'ai-sdk/openai-compatible/2.0.92' }, reactsTo: stops },
  {
    name: 'LlamaIndex',
    dialect: 'openai',
    headers: { 'user-agent': 'AsyncOpenAI/Python 3.57.0' },
    reactsTo: llamaIndex,
  },
]

// Agent answers: how a refusal or a problem is put for a coding agent, so that the agent stops at once and shows the text. Each row
// is what that agent's program was seen to do; docs/refusals.md has the measurements. It decides no refusal.

import type { Problem } from '../core/problem.ts'
import { isAboutMoney, type Refusal } from '../core/refusal.ts'
import type { Agent } from '../keys/agents.ts'
import type { RefusalStatus } from '../wire/dialect.ts'

/** The setting MONEY_REFUSAL: a status for everyone, or `auto` for the one that suits the client. */
export type MoneyRefusal = 'auto' | '429' | '402' | '400'

interface AgentRow {
  /** The status at which the agent stops at once and shows the text; absent if 429 does. */
  readonly status?: RefusalStatus
  /** The agent repeats an answer, whatever its status, if the message or the JSON of the body has one of these. */
  readonly retryWords?: RegExp
  /** How the agent's user sets an output cap. */
  readonly capAdvice?: (tokens: number) => string
  /** How the agent's user turns off a hosted tool that the agent sends with every call. */
  readonly toolAdvice?: { readonly tool: RegExp; readonly text: string }
}

const AGENT_ROWS: Readonly<Record<Agent, AgentRow>> = {
  claudeCode: { capAdvice: (tokens) => `Set CLAUDE_CODE_MAX_OUTPUT_TOKENS=${tokens}.` },
  codex: {
    status: 400,
    toolAdvice: {
      tool: /^web_search/,
      text: 'Codex sends its web search with every call: put web_search = "disabled" into Codex\'s config.toml.',
    },
  },
  opencode: {
    status: 402,
    retryWords:
      /429|500|502|503|504|524|rate increased too quickly|rate[ _-]limit|too[ _]many[ _]requests|overloaded|unavailable|exhausted|internal[ _]error|server[ _-]error|provider[ _-]returned[ _-]error|terminated|fetch failed|failed to fetch|network[-_ ]error|upstream connect|connection (?:error|refused|lost)|(?:request|response|connection|network|stream|read) (?:timeout|timed out|time out)|retry your request|try (?:your request )?again|at capacity/gi,
    capAdvice: () => "Set the model's limit.output in opencode.json.",
  },
  geminiCli: {},
}

/**
 * The status of a refusal. Only refusals that are final are shaped: those of money, and those that no waiting lets through.
 * @param status400 the status that stands for 400 in the dialect of the call
 */
export function refusalStatus(
  refusal: Refusal,
  agent: Agent | undefined,
  setting: MoneyRefusal,
  status400: RefusalStatus,
): RefusalStatus {
  if (refusal.kind !== 'never' && !isAboutMoney(refusal)) return 429
  const wanted = setting === 'auto' ? ((agent && AGENT_ROWS[agent].status) ?? 429) : STATUS_OF[setting]
  return wanted === 400 ? status400 : wanted
}

const STATUS_OF = { 429: 429, 402: 402, 400: 400 } as const satisfies Record<
  Exclude<MoneyRefusal, 'auto'>,
  RefusalStatus
>

/** The text of a refusal for the user of an agent. */
export function refusalText({ message, fittingCap, unbounded }: Refusal, agent: Agent | undefined): string {
  const { capAdvice, toolAdvice } = agent ? AGENT_ROWS[agent] : {}
  const tool = toolAdvice && unbounded.some((name) => toolAdvice.tool.test(name)) ? toolAdvice.text : ''
  const cap = fittingCap !== null && capAdvice ? capAdvice(fittingCap) : ''
  return withoutRetryWords([message, cap, tool].filter((part) => part !== '').join(' '), agent)
}

/** The text of a problem for the user of an agent, and the whole text if parts of it had to go. */
export function problemText({ code, message }: Problem, agent: Agent | undefined) {
  const { toolAdvice } = agent ? AGENT_ROWS[agent] : {}
  const tool = toolAdvice && code === 'unbounded_call' && message.includes('web_search') ? ` ${toolAdvice.text}` : ''
  const wholeText = message + tool
  const text = withoutRetryWords(wholeText, agent)
  return { text, wholeText: text === wholeText ? undefined : wholeText }
}

const HIDDEN = '…'

/**
 * A text without the words and figures at which an agent repeats its request. A figure or a name that holds one gives way as a
 * whole: part of a figure would be another figure. JSON to paste keeps its values.
 * @example
 * withoutRetryWords('The limit of user team-500 is $1, of which $0.0429 is free.', 'opencode')
 * // 'The limit of user … is $1, of which … is free.'
 */
function withoutRetryWords(text: string, agent: Agent | undefined): string {
  const retryWords = agent && AGENT_ROWS[agent].retryWords
  if (!retryWords) return text
  const [start, end] = [text.indexOf('{"'), text.lastIndexOf('}') + 1]
  if (start < 0 || end <= start) return hideWords(text, retryWords)
  const json = rewrittenJson(text.slice(start, end), retryWords)
  const shownJson = json.search(retryWords) < 0 ? json : HIDDEN
  return hideWords(text.slice(0, start), retryWords) + shownJson + hideWords(text.slice(end), retryWords)
}

function hideWords(text: string, retryWords: RegExp): string {
  const parts: string[] = []
  let from = 0
  for (const { index, 0: found } of text.matchAll(retryWords)) {
    if (index < from) continue
    const start = Math.max(from, text.lastIndexOf(' ', index) + 1)
    parts.push(text.slice(from, start), HIDDEN)
    from = endOfWord(text, index + found.length)
  }
  return parts.join('') + text.slice(from)
}

/** Where the word at `from` ends, without the punctuation after it. */
function endOfWord(text: string, from: number): number {
  const space = text.indexOf(' ', from)
  const end = space < 0 ? text.length : space
  return end > from && '.,;:'.includes(text[end - 1] ?? '') ? end - 1 : end
}

/**
 * The JSON of a body in which an agent that searches the body for retry words finds none. The values stay what they are:
 * characters of strings are escaped, and numbers are written with an exponent.
 */
export function withoutRetryWordsInJson(json: string, agent: Agent | undefined): string {
  const retryWords = agent && AGENT_ROWS[agent].retryWords
  return retryWords && json.search(retryWords) >= 0 ? rewrittenJson(json, retryWords) : json
}

function rewrittenJson(json: string, words: RegExp): string {
  return json.replace(JSON_SCALAR, (token) =>
    token.startsWith('"') ? escapedString(token, words) : rewrittenNumber(token, words),
  )
}

const JSON_SCALAR = /"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g

/** Escapes the second character of each word: the first one and what follows then stand apart. */
function escapedString(token: string, words: RegExp): string {
  const text: string = JSON.parse(token)
  let escaped = ''
  let from = 0
  // Words may overlap, so each search begins behind the first character of the word before.
  for (let index = indexOfWord(text, 0, words); index >= 0; index = indexOfWord(text, index + 1, words)) {
    const second = index + 1
    if (second < from) continue
    escaped += `${jsonInner(text.slice(from, second))}\\u${text.charCodeAt(second).toString(16).padStart(4, '0')}`
    from = second + 1
  }
  return `"${escaped}${jsonInner(text.slice(from))}"`
}

function indexOfWord(text: string, from: number, words: RegExp): number {
  const found = text.slice(from).search(words)
  return found < 0 ? -1 : from + found
}

function jsonInner(text: string): string {
  return JSON.stringify(text).slice(1, -1)
}

/** The same number with its point where it parts the digits of a word; a string if there are two words that no point parts. */
function rewrittenNumber(token: string, words: RegExp): string {
  if (token.search(words) < 0) return token
  const [, sign = '', whole = '', fraction = ''] = /^(-?)(\d+)(?:\.(\d+))?$/.exec(token) ?? []
  const digits = (whole + fraction).replace(/^0+/, '')
  for (let point = 1; point < digits.length; point++) {
    const exponent = digits.length - point - fraction.length
    const written = `${sign}${digits.slice(0, point)}.${digits.slice(point)}e${exponent}`
    if (written.search(words) < 0) return written
  }
  return escapedString(`"${token}"`, words)
}

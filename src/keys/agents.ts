// Agents: the coding agents that requests come from, as their user agents tell. A user agent proves nothing: it decides how an answer
// is put, and what an agent's own headers mean, and never what a caller may do.

import type { RequestLine } from '../wire/dialect.ts'

const USER_AGENTS = {
  claudeCode: /^claude-cli\//,
  codex: /^codex/i,
  opencode: /^opencode\//,
  geminiCli: /^GeminiCLI/,
} as const satisfies Readonly<Record<string, RegExp>>

/** An agent that Bursar knows by its user agent. */
export type Agent = keyof typeof USER_AGENTS

const AGENTS = Object.keys(USER_AGENTS) as readonly Agent[]

/** The agent that sent a request; undefined for any other client. */
export function agentOf(request: Pick<RequestLine, 'header'>): Agent | undefined {
  const userAgent = request.header('user-agent') ?? ''
  return AGENTS.find((agent) => USER_AGENTS[agent].test(userAgent))
}

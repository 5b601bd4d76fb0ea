// Agent identity: whom a request is for, as coding agents tell it in fields and headers of their own. It trusts nothing: a caller's
// own headers (`x-bursar-user`, `x-bursar-thread`) come first, and both are names within the caller's key.

import { parseObject } from '../core/json-values.ts'
import type { RequestLine } from '../wire/dialect.ts'
import { type Agent, agentOf } from './agents.ts'

/** The end user and the conversation of a request; null where the request does not tell them apart. */
export interface AgentIdentity {
  readonly user: string | null
  readonly thread: string | null
}

/** The headers in which an agent names its user and its conversation. */
interface AgentHeaders {
  /** Stays the same on one installation. */
  readonly user?: string
  /** Changes with every conversation. */
  readonly thread?: string
}

const AGENT_HEADERS: Readonly<Record<Agent, AgentHeaders>> = {
  claudeCode: { thread: 'x-claude-code-session-id' },
  codex: { thread: 'thread-id' },
  opencode: { thread: 'x-session-id' },
  geminiCli: { user: 'x-gemini-api-privileged-user-id' },
}

/** Claude Code until 2.0: `user_<digest of the device>_account_<id or nothing>_session_<id>`. */
const CLAUDE_CODE_TEXT = /^user_([0-9a-f]{16,128})_account_([0-9a-f-]*)_session_([0-9a-f-]+)$/

/**
 * @param bodyUser the user that the body names: `user`, or `metadata.user_id`. Claude Code puts the account, the device and the
 * conversation there, so that the whole text changes with every conversation; what stays is the user.
 * @example
 * agentIdentity('{"device_id":"d1","account_uuid":"","session_id":"s1"}', line) // { user: 'd1', thread: 's1' }
 */
export function agentIdentity(bodyUser: string | null, request: Pick<RequestLine, 'header'>): AgentIdentity {
  const inBody = bodyUser === null ? undefined : claudeCodeIdentity(bodyUser)
  const agent = agentOf(request)
  const headers: AgentHeaders = agent ? AGENT_HEADERS[agent] : {}
  return {
    user: inBody?.user ?? bodyUser ?? declared(request, headers.user),
    thread: inBody?.thread ?? declared(request, headers.thread),
  }
}

function declared(request: Pick<RequestLine, 'header'>, name: string | undefined): string | null {
  return (name !== undefined && request.header(name)) || null
}

/** Undefined for a text that Claude Code did not write. */
function claudeCodeIdentity(text: string): AgentIdentity | undefined {
  const [, device = '', account = '', session = ''] = CLAUDE_CODE_TEXT.exec(text) ?? []
  if (session !== '') return identityOf(account, device, session)
  if (!text.startsWith('{')) return undefined
  const { device_id, account_uuid, session_id } = parseObject(text) ?? {}
  if (session_id === undefined || (device_id === undefined && account_uuid === undefined)) return undefined
  return identityOf(textOf(account_uuid), textOf(device_id), textOf(session_id))
}

/** An account has several devices, and some devices have no account. */
function identityOf(account: string, device: string, session: string): AgentIdentity {
  return { user: account || device || null, thread: session || null }
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : ''
}

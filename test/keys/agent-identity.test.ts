// Agent identity: what of a request's fields and headers stays the same for a user, and what changes with each conversation.

import { expect, test } from 'vitest'
import { agentIdentity } from '../../src/keys/agent-identity.ts'

const DEVICE = 'd'.repeat(64)
const ACCOUNT = '11111111-1111-4111-8111-111111111111'
const SESSION = '22222222-2222-4222-8222-222222222222'

const json = (fields: object) => JSON.stringify(fields)
const requestWith = (headers: Readonly<Record<string, string>>) => ({ header: (name: string) => headers[name] })

test.each<[string, string, string | null, string | null]>([
  ['a device', json({ device_id: DEVICE, account_uuid: '', session_id: SESSION }), DEVICE, SESSION],
  ['an account', json({ device_id: DEVICE, account_uuid: ACCOUNT, session_id: SESSION }), ACCOUNT, SESSION],
  ['an account alone', json({ account_uuid: ACCOUNT, session_id: SESSION }), ACCOUNT, SESSION],
  ['no conversation', json({ device_id: DEVICE, account_uuid: ACCOUNT, session_id: '' }), ACCOUNT, null],
  ['other members', json({ session_id: SESSION, device_id: DEVICE, more: [1] }), DEVICE, SESSION],
  ['the older text', `user_${DEVICE}_account_${ACCOUNT}_session_${SESSION}`, ACCOUNT, SESSION],
  ['the older text without an account', `user_${DEVICE}_account__session_${SESSION}`, DEVICE, SESSION],
  ['a name', 'ann', 'ann', null],
  ['a name that begins like it', 'user_ann_account_3', 'user_ann_account_3', null],
  ['other JSON', json({ id: 7 }), json({ id: 7 }), null],
  ['broken JSON', '{"device_id":', '{"device_id":', null],
])('%s in the body', (_form, text, user, thread) => {
  expect(agentIdentity(text, requestWith({}))).toEqual({ user, thread })
})

test.each<[string, Readonly<Record<string, string>>, string | null, string | null]>([
  [
    'Claude Code',
    { 'user-agent': 'claude-cli/2.1.332 (external, sdk-cli)', 'x-claude-code-session-id': SESSION },
    null,
    SESSION,
  ],
  ['Codex', { 'user-agent': 'codex_exec/0.171.0', 'session-id': 's', 'thread-id': 't' }, null, 't'],
  ['opencode', { 'user-agent': 'opencode/1.18.33', 'x-session-id': 's' }, null, 's'],
  [
    'Gemini CLI',
    { 'user-agent': 'GeminiCLI/0.61.0/gemini-3.1-pro-preview', 'x-gemini-api-privileged-user-id': 'i' },
    'i',
    null,
  ],
  ['any other client', { 'user-agent': 'curl/8', 'session-id': 's', 'x-session-id': 's' }, null, null],
  ['no client that says so', {}, null, null],
])('headers of %s', (_agent, headers, user, thread) => {
  expect(agentIdentity(null, requestWith(headers))).toEqual({ user, thread })
})

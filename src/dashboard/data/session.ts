// Session: who looks at the pages, and signing in and out.

import type { SessionJson } from '../../http/session.ts'
import { type Received, request } from './api.ts'

export type Session = Received<SessionJson>

export const readSession = () => request<SessionJson>('/session')
export const signIn = (key: string) => request<SessionJson>('/session', { method: 'POST', body: { key } })
export const signOut = () => request<SessionJson>('/session', { method: 'DELETE' })

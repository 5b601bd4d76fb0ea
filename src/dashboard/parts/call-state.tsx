// Call state: how a call ended, by a shape and a word. Refused calls (ours, free) and failed ones (theirs) never look alike.

import type { LiveCall } from '../data/live-state.ts'
import { Icon, type IconName } from './icons.tsx'

const STATES: Readonly<Record<LiveCall['status'], readonly [tone: string, icon: IconName, word: string]>> = {
  in_flight: ['info', 'running', 'running'],
  completed: ['ok', 'ok', 'ok'],
  failed: ['bad', 'failed', 'failed'],
  canceled: ['warn', 'unknown', 'left'],
  expired: ['warn', 'unknown', 'expired'],
  adjusted: ['info', 'info', 'corrected'],
  refused: ['bad', 'refused', 'refused'],
}

export function CallState({ status }: { readonly status: LiveCall['status'] }) {
  const [tone, icon, word] = STATES[status]
  return (
    <span className={`st ${tone}`}>
      <Icon name={icon} />
      {word}
    </span>
  )
}

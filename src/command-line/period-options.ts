// Period options: the span of time and the zone that commands of figures share.

import type { Option, Options } from './command.ts'
import { UsageError } from './errors.ts'

export const PERIOD_OPTIONS: Readonly<Record<string, Option>> = {
  days: {
    type: 'string',
    value: 'DAYS',
    text: 'Today and the days before it, so many together. Without it and --from: 30.',
  },
  from: { type: 'string', value: 'TIME', text: 'In place of --days: 2026-11-01, or 2026-11-01T00:00:00Z.' },
  to: { type: 'string', value: 'TIME', text: 'Up to the end of this day, or up to this time. Without it: up to now.' },
  tz: { type: 'string', value: 'ZONE', text: 'Where days begin, such as Europe/Berlin.' },
}

const DEFAULT_DAYS = '30'

/** Throws UsageError if they contradict each other. */
export function checkPeriod(options: Options): void {
  const days = options.number('days')
  const isSpan = options.text('from') !== undefined || options.text('to') !== undefined
  if (isSpan && days !== undefined) throw new UsageError('--days must not stand beside --from and --to.')
  if (options.text('from') === undefined && options.text('to') !== undefined) throw new UsageError('--to needs --from.')
}

/** The parameters that say which period is meant. Throws UsageError. */
export function periodOf(options: Options): Readonly<Record<string, string>> {
  checkPeriod(options)
  const [from, days, to, tz] = ['from', 'days', 'to', 'tz'].map((name) => options.text(name))
  return {
    ...(from === undefined ? { days: days ?? DEFAULT_DAYS } : { from }),
    ...(to === undefined ? {} : { to }),
    ...(tz === undefined ? {} : { tz }),
  }
}

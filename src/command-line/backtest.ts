// bursar backtest: what proposed limits would have refused.

import { recordOf } from '../core/json-values.ts'
import type { Command, Invocation } from './command.ts'
import { UsageError } from './errors.ts'
import { cellOf, recordsIn, tableText, usdText } from './format.ts'
import { limitsIn, scopedLimitsOf } from './limit-words.ts'
import { checkPeriod } from './period-options.ts'

const DEFAULT_DAYS = 7
const SIMULATED_ADVICE = 'The ledger has no real calls in this time. --simulated replays simulated ones.'

export const BACKTEST: Command = {
  name: 'backtest',
  summary: 'What proposed limits would have refused, of whom, and what they would have saved: a replay of the ledger.',
  details:
    'Proposed limits are those of --limits and --set together, and no others. Calls that were refused at the time are not in the ledger.',
  options: {
    days: { type: 'string', value: 'DAYS', text: `The last days. Without it and --from: ${DEFAULT_DAYS}.` },
    from: { type: 'string', value: 'TIME', text: 'In place of --days: 2026-11-01T00:00:00Z.' },
    to: { type: 'string', value: 'TIME', text: 'Up to this time. Without it: up to now.' },
    limits: { type: 'string', value: 'FILE', text: 'A bursar.json, or its limits alone.' },
    set: {
      type: 'string',
      multiple: true,
      value: 'LIMIT',
      text: 'One limit, such as perUser.costPerDay=5. May stand several times.',
    },
    simulated: { type: 'boolean', text: 'Replays the simulated calls, in place of the real ones.' },
  },
  examples: [
    "bursar backtest --set 'perUser.costPerDay=5'",
    'bursar backtest --days 30 --limits proposed.json',
    "bursar backtest --from 2026-11-01T00:00:00Z --to 2026-11-08T00:00:00Z --set 'key:ci.inFlight=4' --json",
  ],
  run: async (invocation) => {
    const { options, client } = invocation
    const from = options.text('from')
    const to = options.text('to')
    const days = options.number('days')
    checkPeriod(options)
    const span = from === undefined ? { days: days ?? DEFAULT_DAYS } : { from, ...(to === undefined ? {} : { to }) }
    const simulated = options.has('simulated') ? { simulated: true } : {}
    const body = { ...span, ...simulated, limits: await proposedLimits(invocation) }
    const { json, value } = await client.send('POST', '/admin/limits/backtest', { body })
    return { json, text: backtestText(value) }
  },
}

async function proposedLimits({ options, files }: Invocation): Promise<Readonly<Record<string, unknown>>> {
  const path = options.text('limits')
  const set = scopedLimitsOf(options.texts('set'))
  if (path === undefined && Object.keys(set).length === 0)
    throw new UsageError('backtest needs limits: --limits proposed.json, or --set perUser.costPerDay=5.')
  const limits: Record<string, unknown> = path === undefined ? {} : { ...limitsIn(await files.read(path), path) }
  for (const [scope, words] of Object.entries(set)) limits[scope] = { ...recordOf(limits[scope]), ...words }
  return limits
}

function backtestText(answer: Readonly<Record<string, unknown>>): string {
  const replayed = recordOf(answer.replayed)
  const refused = recordOf(answer.refused)
  const first = recordOf(refused.first)
  const leftOut = recordOf(answer.left_out)
  const sum = `${cellOf(refused.calls)} of ${cellOf(replayed.calls)} calls would have been refused (${cellOf(refused.calls_percent)} %).`
  const saved = `They used ${cellOf(refused.tokens)} of ${cellOf(replayed.tokens)} tokens and ${usdText(refused.cost_usd)} of ${usdText(replayed.cost_usd)}.`
  const parts = [
    `From ${cellOf(answer.from)} to ${cellOf(answer.to)}${answer.simulated === true ? ', simulated calls' : ''}:`,
    sum,
    ...(replayed.calls === 0 && answer.simulated !== true ? [SIMULATED_ADVICE] : []),
    ...(refused.calls === 0 ? [] : [saved, `The first: ${cellOf(first.call_id)} at ${cellOf(first.reserved_at)}.`]),
    '',
    groupsText('LIMIT', 'limit', answer.limits, leftOut.limits),
  ]
  if (refused.calls !== 0)
    parts.push(
      groupsText('SUBJECT', 'subject', answer.subjects, leftOut.subjects),
      groupsText('KEY', 'key', answer.keys, leftOut.keys),
    )
  return `${parts.join('\n')}\n${cellOf(answer.note)}\n`
}

function groupsText(title: string, field: string, groups: unknown, leftOut: unknown): string {
  const rows = recordsIn(groups).map((group) => {
    const name = group[field] === null ? '(none)' : cellOf(group[field])
    const shadow = group.enforced === false ? ' (not enforced)' : ''
    const first = recordOf(group.first)
    return [
      name + shadow,
      cellOf(group.calls),
      cellOf(group.tokens),
      usdText(group.cost_usd),
      cellOf(first.reserved_at),
    ]
  })
  const more = typeof leftOut === 'number' && leftOut > 0 ? `and ${leftOut} more\n` : ''
  return tableText([title, 'REFUSED', 'TOKENS', 'COST', 'FIRST'], rows) + more
}

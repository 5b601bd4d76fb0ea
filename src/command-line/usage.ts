// bursar usage: what calls used and did cost, by whom and for what.

import { recordOf } from '../core/json-values.ts'
import { didYouMean } from '../core/nearest-name.ts'
import type { Command, Options } from './command.ts'
import { UsageError } from './errors.ts'
import { cellOf, recordsIn, tableText, usdText } from './format.ts'
import { PERIOD_OPTIONS, periodOf } from './period-options.ts'

type Fields = Readonly<Record<string, unknown>>

const DIMENSIONS = ['model', 'provider', 'agent', 'operation', 'user', 'key', 'project', 'day'] as const
const DEFAULT_DIMENSION = 'model'
const FILTERS = ['key', 'user', 'thread'] as const

export const USAGE: Command = {
  name: 'usage',
  summary: 'What calls used and did cost: by model, or by anything else, or of one user or thread.',
  details: `Sums come from the ledger. Without --by, --user and --thread show one user or thread; beside --by, they narrow the sums.
A key that makes calls sees its own calls.`,
  options: {
    by: { type: 'string', value: 'WHAT', text: `${DIMENSIONS.join(', ')}. Without it: ${DEFAULT_DIMENSION}.` },
    user: { type: 'string', value: 'USER', text: 'Only calls of this user.' },
    thread: { type: 'string', value: 'THREAD', text: 'Only calls of this thread.' },
    key: { type: 'string', value: 'KEY', text: 'Only calls of this key.' },
    ...PERIOD_OPTIONS,
    limit: { type: 'string', value: 'COUNT', text: 'How many rows at most. The rest is one row.' },
    csv: { type: 'boolean', text: 'Prints the table as CSV.' },
  },
  examples: [
    'bursar usage',
    'bursar usage --by user --days 7 --limit 20',
    'bursar usage --by day --from 2026-11-01 --to 2026-11-30 --tz Europe/Berlin',
    'bursar usage --user ann --days 1',
    'bursar usage --by project --json | jq .total_cost',
    'bursar usage --by key --csv',
  ],
  run: async ({ options, client, terminal }) => {
    const dimension = dimensionOf(options)
    const path = pathOf(dimension, options)
    if (options.has('csv')) {
      if (options.has('json')) throw new UsageError('--csv must not stand beside --json.')
      const { chunks } = await client.open(`${path}&format=csv`, 'viewer')
      for await (const chunk of chunks) await terminal.output.write(chunk)
      return { json: '', text: '' }
    }
    const { json, value } = await client.send('GET', path, { as: 'viewer' })
    const table = dimension === undefined ? subjectText(value) : groupsText(dimension, value)
    return { json, text: `${periodText(value)}\n\n${table}` }
  },
}

/** Undefined: the figures of one user or thread. Throws UsageError. */
function dimensionOf(options: Options): string | undefined {
  const by = options.text('by')
  if (by === undefined) {
    const isSubject = options.text('user') !== undefined || options.text('thread') !== undefined
    return isSubject ? undefined : DEFAULT_DIMENSION
  }
  if (DIMENSIONS.some((name) => name === by)) return by
  throw new UsageError(`--by must be one of ${DIMENSIONS.join(', ')}.${didYouMean(by, DIMENSIONS)}`)
}

function pathOf(dimension: string | undefined, options: Options): string {
  const given: Record<string, string> = { ...periodOf(options) }
  for (const name of FILTERS) {
    const value = options.text(name)
    if (value !== undefined) given[name] = value
  }
  const limit = options.number('limit')
  if (limit !== undefined) {
    if (dimension === undefined || dimension === 'day') throw new UsageError('--limit needs --by, and not --by day.')
    given.limit = String(limit)
  }
  if (dimension !== undefined) return `/token-usage/by-${dimension}?${new URLSearchParams(given)}`
  const { user, thread, ...others } = given
  if (user !== undefined && thread !== undefined)
    throw new UsageError('--user must not stand beside --thread without --by.')
  const [kind, id = ''] = user === undefined ? ['thread', thread] : ['user', user]
  // An empty name would be another path.
  if (id === '') throw new UsageError(`--${kind} needs a name.`)
  return `/token-usage/${kind}/${encodeURIComponent(id)}?${new URLSearchParams(others)}`
}

function periodText({ period, simulated }: Fields): string {
  const { from, to, time_zone } = recordOf(period)
  return `From ${cellOf(from)} to ${cellOf(to)}, in the zone ${cellOf(time_zone)}${simulated === true ? ', simulated calls' : ''}:`
}

const SUM_TITLES = ['REQUESTS', 'FAILED', 'INPUT', 'OUTPUT', 'TOKENS', 'COST', 'P95 MS']

function sumCells(sum: Fields): string[] {
  return [
    cellOf(sum.total_requests),
    cellOf(recordOf(sum.outcomes).failed),
    cellOf(sum.total_input_tokens),
    cellOf(sum.total_output_tokens),
    cellOf(sum.total_tokens),
    usdText(sum.total_cost),
    cellOf(recordOf(sum.latency_ms).p95),
  ]
}

const NO_NAME = '(none)'

/** A name in quotes is one that a caller chose and that would read as ours. */
function nameCell(name: unknown): string {
  if (name === null || name === '') return NO_NAME
  return name === NO_NAME ? `"${NO_NAME}"` : cellOf(name)
}

function othersCell(count: unknown): string {
  return `and ${cellOf(count)} ${cellOf(count) === '1' ? 'other' : 'others'}`
}

function groupsText(dimension: string, answer: Fields): string {
  const isDay = dimension === 'day'
  const rows = recordsIn(isDay ? answer.days : answer.groups).map((group) => {
    const name = isDay ? group.date : group[dimension]
    return [nameCell(name), ...sumCells(group)]
  })
  const others = recordOf(answer.others)
  if (others.count !== undefined) rows.push([othersCell(others.count), ...sumCells(others)])
  if (rows.length === 0) return 'none\n'
  return tableText([dimension.toUpperCase(), ...SUM_TITLES], [...rows, ['total', ...sumCells(answer)]])
}

/** The statistics of one user or thread: by model, by agent, and the days with calls. */
function subjectText(answer: Fields): string {
  const tokensByModel = recordOf(answer.tokens_by_model)
  const models = Object.entries(recordOf(answer.cost_by_model)).map(([model, cost]) => [
    cellOf(model),
    cellOf(tokensByModel[model]),
    usdText(cost),
  ])
  if (models.length === 0 && answer.total_requests === 0) return 'none\n'
  const others = recordOf(answer.other_models)
  if (others.count !== undefined) models.push([othersCell(others.count), cellOf(others.tokens), usdText(others.cost)])
  const agents = Object.entries(recordOf(answer.requests_by_agent)).map(([agent, requests]) => [
    nameCell(agent),
    cellOf(requests),
  ])
  const days = recordsIn(answer.cost_trend)
    .filter(({ requests, cost }) => requests !== 0 || cost !== 0)
    .map(({ date, requests, tokens, cost }) => [cellOf(date), cellOf(requests), cellOf(tokens), usdText(cost)])
  const total = [cellOf(answer.total_requests), cellOf(answer.total_tokens), usdText(answer.total_cost)]
  return [
    tableText(['MODEL', 'TOKENS', 'COST'], [...models, ['total', ...total.slice(1)]]),
    tableText(['AGENT', 'REQUESTS'], [...agents, ['total', total[0] ?? '']]),
    tableText(['DAY', 'REQUESTS', 'TOKENS', 'COST'], [...days, ['total', ...total]]),
  ].join('\n')
}

// bursar limits: the limits in force and their levels, and those that operators set.

import { recordOf } from '../core/json-values.ts'
import type { Command, Options } from './command.ts'
import { UsageError } from './errors.ts'
import { amountText, cellOf, durationText, moreText, recordsIn, tableText, usdText, warningsText } from './format.ts'
import { limitsOf } from './limit-words.ts'

const SUBJECTS = 'SUBJECT is as in bursar.json: global, perKey, perUser, key:ci, project:web, user:ann, …'
const UNITS_MS: Readonly<Record<string, number>> = { m: 60_000, h: 3_600_000, d: 86_400_000 }

const LIST: Command = {
  name: 'limits list',
  optional: 'SUBJECT',
  summary: 'The limits in force, and what sets each; of all subjects, or of one.',
  details: `${SUBJECTS}\nLimits in the records of keys are shown by bursar keys list, and by bursar limits list key:ID.`,
  options: {
    limit: { type: 'string', value: 'COUNT', text: 'How many subjects at most.' },
    cursor: { type: 'string', value: 'CURSOR', text: 'Goes on where a list ended.' },
  },
  examples: [
    'bursar limits list',
    'bursar limits list project:web',
    "bursar limits list --json | jq '.limits[].subject'",
  ],
  run: async ({ args: [subject], options, client }) => {
    if (subject !== undefined) {
      const { json, value } = await client.send('GET', pathOf(subject))
      return { json, text: scopesText([value]) }
    }
    const { json, value } = await client.send('GET', `/admin/limits${options.query(['limit', 'cursor'])}`)
    return { json, text: scopesText(recordsIn(value.limits)) + moreText(value.next_cursor) }
  },
}

const LEVELS: Command = {
  name: 'limits levels',
  summary: 'What is used and what is free of the limits now: of those on everyone, and on the subjects that are named.',
  options: {
    key: { type: 'string', value: 'KEY', text: 'Shows the limits of this key as well.' },
    user: { type: 'string', value: 'USER', text: 'Shows the limits of this user as well.' },
    model: { type: 'string', value: 'MODEL', text: 'Shows the limits of this model as well.' },
  },
  examples: ['bursar limits levels', 'bursar limits levels --key ci --user 7'],
  run: async ({ options, client }) => {
    const query = options.query(['key', 'user', 'model'])
    const { json, value } = await client.send('GET', `/llm/limits${query}`, { as: 'viewer' })
    return { json, text: levelsText(value.limits) }
  },
}

const SET: Command = {
  name: 'limits set',
  arguments: ['SUBJECT', 'LIMIT=AMOUNT'],
  rest: 'LIMIT=AMOUNT',
  summary: 'Sets limits of a subject. Its other limits stay.',
  details: `${SUBJECTS}
A limit that is set here replaces that of the settings and of bursar.json, until it is removed. An amount alone enforces the limit, with
its usual refill; JSON has the options.`,
  options: { shadow: { type: 'boolean', text: 'Counts without refusing.' } },
  examples: [
    'bursar limits set project:web costPerDay=5 inFlight=4',
    'bursar limits set perUser costPerMonth=20 --shadow',
    `bursar limits set key:ci 'requestsPerDay={"amount": 500, "refill": "steady"}'`,
  ],
  run: async ({ args: [subject = '', ...words], options, client }) => {
    const body = withShadow(limitsOf(words), options)
    const { json, value } = await client.send('PATCH', pathOf(subject), { body })
    return { json, text: scopesText([value]) + warningsText(value) }
  },
}

const REMOVE: Command = {
  name: 'limits remove',
  arguments: ['SUBJECT'],
  optional: 'LIMIT',
  summary:
    'Removes limits that were set here for a subject: one, or all. Those of the settings and of bursar.json hold again.',
  details: SUBJECTS,
  examples: ['bursar limits remove project:web', 'bursar limits remove project:web costPerDay'],
  run: async ({ args: [subject = '', limit], client }) => {
    const { json, value } =
      limit === undefined
        ? await client.send('DELETE', pathOf(subject))
        : await client.send('PATCH', pathOf(subject), { body: { [limit]: null } })
    return { json, text: scopesText([value]) }
  },
}

const RAISE: Command = {
  name: 'limits raise',
  arguments: ['SUBJECT', 'LIMIT=AMOUNT'],
  rest: 'LIMIT=AMOUNT',
  summary: 'Raises limits of a subject until a time.',
  details: SUBJECTS,
  options: {
    until: { type: 'string', value: 'TIME', text: 'When the raise ends: 2026-12-01T00:00:00Z.' },
    for: { type: 'string', value: 'TIME', text: 'In place of --until: how long it lasts, such as 90m, 8h or 2d.' },
    reason: { type: 'string', value: 'TEXT', text: 'Why, for the audit log.' },
  },
  examples: [
    'bursar limits raise project:web costPerDay=20 --for 8h --reason "load test"',
    'bursar limits raise key:ci costPerMonth=100 --until 2026-12-01T00:00:00Z --reason "release"',
  ],
  run: async ({ args: [subject = '', ...words], options, client, nowMs }) => {
    const reason = options.text('reason')
    if (reason === undefined) throw new UsageError('limits raise needs --reason.')
    const body = { ...limitsOf(words), until: endOf(options, nowMs), reason }
    const { json, value } = await client.send('POST', `${pathOf(subject)}/raise`, { body })
    return { json, text: scopesText([value]) }
  },
}

const END_RAISE: Command = {
  name: 'limits end-raise',
  arguments: ['SUBJECT'],
  summary: 'Ends the raises of a subject before their time.',
  details: SUBJECTS,
  examples: ['bursar limits end-raise project:web'],
  run: async ({ args: [subject = ''], client }) => {
    const { json, value } = await client.send('DELETE', `${pathOf(subject)}/raise`)
    return { json, text: scopesText([value]) }
  },
}

export const LIMIT_COMMANDS: readonly Command[] = [LIST, LEVELS, SET, REMOVE, RAISE, END_RAISE]

function pathOf(subject: string): string {
  return `/admin/limits/${encodeURIComponent(subject)}`
}

function withShadow(limits: Readonly<Record<string, unknown>>, options: Options): Readonly<Record<string, unknown>> {
  if (!options.has('shadow')) return limits
  return Object.fromEntries(
    Object.entries(limits).map(([name, value]) => {
      const object = typeof value === 'object' ? recordOf(value) : { amount: value }
      return [name, { ...object, shadow: true }]
    }),
  )
}

function endOf(options: Options, nowMs: number): string {
  const until = options.text('until')
  const span = options.text('for')
  if ((until === undefined) === (span === undefined)) throw new UsageError('limits raise needs --until or --for.')
  if (until !== undefined) return until
  const [, count = '', unit = ''] = /^(\d{1,6})([mhd])$/.exec(span ?? '') ?? []
  if (unit === '') throw new UsageError('--for must be minutes, hours or days, such as 90m, 8h or 2d.')
  return new Date(nowMs + Number(count) * (UNITS_MS[unit] ?? 0)).toISOString()
}

/** The limits in force on subjects, and their raises. A list has a subject once for each place that limits it. */
function scopesText(records: readonly Readonly<Record<string, unknown>>[]): string {
  const bySubject = new Map(records.map((record) => [record.subject, record]))
  const rows = [...bySubject.values()].flatMap(({ subject, in_force }) =>
    recordsIn(in_force).map(({ limit, amount, shadow, source }) => [
      cellOf(subject),
      cellOf(limit),
      String(limit).startsWith('cost') ? usdText(amount) : cellOf(amount),
      shadow === true ? 'yes' : 'no',
      cellOf(source),
    ]),
  )
  const raises = records.flatMap(({ subject, raises: list }) =>
    recordsIn(list).map(({ limits, until, reason }) => [
      cellOf(subject),
      Object.entries(recordOf(limits))
        .map(([name, amount]) => `${name}=${cellOf(amount)}`)
        .join(', '),
      cellOf(until),
      cellOf(reason),
    ]),
  )
  const table = tableText(['SUBJECT', 'LIMIT', 'AMOUNT', 'SHADOW', 'SET BY'], rows)
  return raises.length === 0 ? table : `${table}\n${tableText(['SUBJECT', 'RAISED TO', 'UNTIL', 'REASON'], raises)}`
}

function levelsText(limits: unknown): string {
  const rows = recordsIn(limits).map((level) => {
    const amounts = [level.settled, level.reserved, level.free, level.capacity]
    return [
      cellOf(level.subject),
      cellOf(level.limit) + (level.enforced === false ? ' (not enforced)' : ''),
      cellOf(level.unit),
      ...amounts.map((amount) => amountText(amount, level.unit)),
      durationText(level.resets_in_ms),
      cellOf(level.source),
    ]
  })
  return tableText(['SUBJECT', 'LIMIT', 'UNIT', 'USED', 'RESERVED', 'FREE', 'OF', 'RESETS IN', 'SET BY'], rows)
}

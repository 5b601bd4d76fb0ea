// bursar limits: the limits in force and their levels, and those that operators set.

import { recordOf } from '../core/json-values.ts'
import type { Command, Options } from './command.ts'
import { UsageError } from './errors.ts'
import { amountText, cellOf, durationText, fieldsText, tableText } from './format.ts'
import { limitsOf } from './limit-words.ts'

const SUBJECTS = 'SUBJECT is as in bursar.json: global, perKey, perUser, key:ci, project:web, user:ann, …'
const UNITS_MS: Readonly<Record<string, number>> = { m: 60_000, h: 3_600_000, d: 86_400_000 }

const LIST: Command = {
  name: 'limits list',
  optional: 'SUBJECT',
  summary: 'The limits in force, with their levels now; or those that are set for a subject.',
  details: SUBJECTS,
  options: {
    key: { type: 'string', value: 'KEY', text: 'Shows the limits of this key as well.' },
    user: { type: 'string', value: 'USER', text: 'Shows the limits of this user as well.' },
    model: { type: 'string', value: 'MODEL', text: 'Shows the limits of this model as well.' },
  },
  examples: ['bursar limits list', 'bursar limits list --key ci --user 7', 'bursar limits list project:web'],
  run: async ({ args: [subject], options, client }) => {
    if (subject !== undefined) {
      const { json, value } = await client.send('GET', pathOf(subject))
      return { json, text: fieldsText(value) }
    }
    const query = new URLSearchParams()
    for (const name of ['key', 'user', 'model']) {
      const value = options.text(name)
      if (value !== undefined) query.set(name, value)
    }
    const { json, value } = await client.send('GET', `/llm/limits${query.size === 0 ? '' : `?${query}`}`, {
      as: 'viewer',
    })
    return { json, text: levelsText(value.limits) }
  },
}

const SET: Command = {
  name: 'limits set',
  arguments: ['SUBJECT', 'LIMIT=AMOUNT'],
  rest: 'LIMIT=AMOUNT',
  summary: 'Sets the limits of a subject, in place of those that were set here before.',
  details: `${SUBJECTS}\nA limit that is set here replaces that of the settings and of bursar.json, until it is removed.`,
  options: { shadow: { type: 'boolean', text: 'Counts without refusing.' } },
  examples: [
    'bursar limits set project:web costPerDay=5 inFlight=4',
    'bursar limits set perUser costPerMonth=20 --shadow',
    `bursar limits set key:ci 'requestsPerDay={"amount": 500, "refill": "steady"}'`,
  ],
  run: async ({ args: [subject = '', ...words], options, client }) => {
    const body = withShadow(limitsOf(words), options)
    const { json, value } = await client.send('PUT', pathOf(subject), { body })
    return { json, text: fieldsText(value) }
  },
}

const REMOVE: Command = {
  name: 'limits remove',
  arguments: ['SUBJECT'],
  summary: 'Removes the limits that were set here for a subject. Those of the settings and of bursar.json hold again.',
  details: SUBJECTS,
  examples: ['bursar limits remove project:web'],
  run: async ({ args: [subject = ''], client }) => {
    const { json, value } = await client.send('DELETE', pathOf(subject))
    return { json, text: fieldsText(value) }
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
    return { json, text: fieldsText(value) }
  },
}

export const LIMIT_COMMANDS: readonly Command[] = [LIST, SET, REMOVE, RAISE]

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

function levelsText(limits: unknown): string {
  const rows = (Array.isArray(limits) ? limits : []).map((item: unknown) => {
    const level = recordOf(item)
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

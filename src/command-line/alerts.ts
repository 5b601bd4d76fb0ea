// bursar alerts: who hears of what, and tests of it.

import { parseObject, recordOf } from '../core/json-values.ts'
import type { Command, Invocation, Option } from './command.ts'
import { UsageError } from './errors.ts'
import { cellOf, fieldsText, recordsIn, tableText, warningsText } from './format.ts'

/** Fields that are one text, one number, or a list, by the option that gives one value. */
const TEXT_FIELDS = ['send', 'url', 'secret', 'server', 'user', 'password', 'from', 'floor'] as const
const LIST_FIELDS = { on: 'on', limit: 'limits', to: 'to' } as const

const FIELD_OPTIONS: Readonly<Record<string, Option>> = {
  send: { type: 'string', value: 'HOW', text: 'webhook, slack or mail.' },
  url: { type: 'string', value: 'URL', text: 'The address of a webhook or of Slack.' },
  secret: { type: 'string', value: 'SECRET', text: 'What a webhook is signed with: whsec_…' },
  server: { type: 'string', value: 'URL', text: 'The mail server, such as smtp://mail.example.com:587.' },
  user: { type: 'string', value: 'NAME', text: 'Who signs in at the mail server.' },
  password: { type: 'string', value: 'TEXT', text: 'The password at the mail server.' },
  from: { type: 'string', value: 'ADDRESS', text: 'Who the mail is from.' },
  to: { type: 'string', multiple: true, value: 'ADDRESS', text: 'Who gets the mail. May stand several times.' },
  on: {
    type: 'string',
    multiple: true,
    value: 'KIND',
    text: 'What it hears of, such as limit or provider_down. May stand several times.',
  },
  limit: {
    type: 'string',
    multiple: true,
    value: 'LIMIT',
    text: 'A limit to watch, such as perUser.costPerDay. May stand several times.',
  },
  at: {
    type: 'string',
    multiple: true,
    value: 'PERCENT',
    text: 'A percentage of the limits, such as 80. May stand several times.',
  },
  factor: { type: 'string', value: 'NUMBER', text: 'How many times its usual cost is unusual for an hour.' },
  floor: { type: 'string', value: 'USD', text: 'An hour below this cost is never unusual.' },
  file: {
    type: 'string',
    value: 'FILE',
    text: 'The fields as JSON, as in bursar.json. --file=- reads standard input, which keeps secrets off the command line.',
  },
}

const LIST: Command = {
  name: 'alerts list',
  summary: 'Who hears of what, what was sent last, and what waits. Secrets are not shown.',
  examples: ['bursar alerts list', "bursar alerts list --json | jq '.alerts[].name'"],
  run: async ({ client }) => {
    const { json, value } = await client.send('GET', '/admin/alerts')
    return { json, text: alertsText(value.alerts) }
  },
}

const TEST: Command = {
  name: 'alerts test',
  arguments: ['NAME'],
  summary: 'Sends a test to a receiver now, and shows what the receiver answered. The exit code is 1 if it took none.',
  examples: ['bursar alerts test ops'],
  run: async ({ args: [name = ''], client }) => {
    const { json, value } = await client.send('POST', '/admin/alerts/test', { body: { name } })
    const text = `${cellOf(value.name)}: ${cellOf(value.message)}\n`
    return { json, text, ...(value.ok === true ? {} : { failure: text }) }
  },
}

const SET: Command = {
  name: 'alerts set',
  arguments: ['NAME'],
  summary: 'Makes an alert, or replaces the one of that name that was set here.',
  details:
    'What is not named has its default. docs/alerts.md lists the kinds of alerts and the fields of each receiver.',
  options: FIELD_OPTIONS,
  examples: [
    'bursar alerts set ops --file alert.json',
    'bursar alerts set team --send slack --url https://hooks.example.com/services/x --on limit --limit perUser.costPerDay --at 80 --at 100',
    'bursar alerts set finance --send mail --server smtp://mail.example.com:587 --from bursar@example.com --to ann@example.com --on unusual_spend --factor 3 --floor 5',
  ],
  run: async ({ args: [name = ''], ...invocation }) => {
    const body = await rowOf({ args: [name], ...invocation })
    const { json, value } = await invocation.client.send('PUT', pathOf(name), { body })
    return { json, text: fieldsText(recordOf(value.alert)) + warningsText(value) }
  },
}

const REMOVE: Command = {
  name: 'alerts remove',
  arguments: ['NAME'],
  summary: 'Removes an alert that was set here. What waits to be sent to it is dropped.',
  examples: ['bursar alerts remove ops'],
  run: async ({ args: [name = ''], client }) => {
    const { json, value } = await client.send('DELETE', pathOf(name))
    return { json, text: fieldsText(value) }
  },
}

export const ALERT_COMMANDS: readonly Command[] = [LIST, TEST, SET, REMOVE]

function pathOf(name: string): string {
  return `/admin/alerts/${encodeURIComponent(name)}`
}

/** The fields of the file, and those of the options in place of them. Throws UsageError. */
async function rowOf({ options, files }: Invocation): Promise<Readonly<Record<string, unknown>>> {
  const row: Record<string, unknown> = { ...(await fileFields(options.text('file'), files)) }
  for (const field of TEXT_FIELDS) {
    const value = options.text(field)
    if (value !== undefined) row[field] = value
  }
  for (const [option, field] of Object.entries(LIST_FIELDS)) {
    const values = options.texts(option)
    if (values.length > 0) row[field] = values
  }
  const percentages = options.texts('at')
  if (percentages.length > 0) row.at = percentages.map((text) => numberOf('at', text))
  const factor = options.text('factor')
  if (factor !== undefined) row.factor = numberOf('factor', factor)
  if (Object.keys(row).length === 0)
    throw new UsageError('alerts set needs a receiver, such as --send slack --url …, or --file alert.json.')
  return row
}

async function fileFields(path: string | undefined, files: Invocation['files']) {
  if (path === undefined) return {}
  const text = path === '-' ? ((await files.readInput()) ?? '') : await files.read(path)
  const fields = parseObject(text)
  if (!fields) throw new UsageError(`${path === '-' ? 'Standard input' : path} must hold a JSON object.`)
  return fields
}

function numberOf(option: string, text: string): number {
  if (!/^\d{1,6}(\.\d{1,6})?$/.test(text)) throw new UsageError(`--${option} must be a number.`)
  return Number(text)
}

function alertsText(alerts: unknown): string {
  const rows = recordsIn(alerts).map((state) => {
    const { send, on = 'all' } = recordOf(state.alert)
    return [
      cellOf(state.name),
      cellOf(send),
      cellOf(on),
      cellOf(state.source),
      cellOf(state.pending),
      cellOf(state.last_sent_at),
      cellOf(problemOf(state)),
    ]
  })
  return tableText(['NAME', 'SENDS', 'ON', 'SET BY', 'PENDING', 'LAST SENT', 'PROBLEM'], rows)
}

/** What keeps alerts from a receiver, or did so last. */
function problemOf(state: Readonly<Record<string, unknown>>): unknown {
  if (state.gone === true) return `wants no more: ${cellOf(state.last_error)}`
  return state.not_in_force ?? state.last_error
}

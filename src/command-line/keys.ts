// bursar keys: makes keys, changes them, and replaces their secrets.

import { parseObject, recordOf } from '../core/json-values.ts'
import type { Command, Option, Options } from './command.ts'
import { UsageError } from './errors.ts'
import { cellOf, fieldsText, moreText, recordsIn, tableText } from './format.ts'
import { limitsOf } from './limit-words.ts'

/** Fields of a key that are one text. */
const TEXT_FIELDS = [
  'organisation',
  'project',
  'user',
  'expires_at',
  'money_refusal',
  'hosted_tools',
  'time_zone',
] as const
/** Fields of a key that are lists, by the option that gives one item. */
const LIST_FIELDS = { model: 'models', provider: 'providers', require: 'requires', tag: 'tags' } as const

const FIELD_OPTIONS: Readonly<Record<string, Option>> = {
  organisation: { type: 'string', value: 'NAME', text: 'The organisation that it belongs to.' },
  project: { type: 'string', value: 'NAME', text: 'The project that it belongs to.' },
  user: { type: 'string', value: 'NAME', text: 'The person whose key it is. All keys of a person share their limits.' },
  model: {
    type: 'string',
    multiple: true,
    value: 'MODEL',
    text: 'A model that it may use, such as openai/*. May stand several times.',
  },
  provider: {
    type: 'string',
    multiple: true,
    value: 'NAME',
    text: 'A provider that it may use. May stand several times.',
  },
  limit: {
    type: 'string',
    multiple: true,
    value: 'LIMIT',
    text: 'A limit, such as costPerDay=5. May stand several times.',
  },
  require: { type: 'string', multiple: true, value: 'NAME', text: 'What its calls must declare, such as user.' },
  'expires-at': { type: 'string', value: 'TIME', text: 'When it ends: 2027-01-01T00:00:00Z.' },
  'money-refusal': { type: 'string', value: 'STATUS', text: 'As MONEY_REFUSAL, for this key.' },
  'hosted-tools': { type: 'string', value: 'RULE', text: 'As hostedTools of bursar.json, for this key.' },
  'time-zone': { type: 'string', value: 'ZONE', text: 'Where its days begin, such as Europe/Berlin.' },
  tag: { type: 'string', multiple: true, value: 'TAG', text: 'A tag. May stand several times.' },
  metadata: { type: 'string', value: 'JSON', text: 'A JSON object.' },
}

const LIST: Command = {
  name: 'keys list',
  summary: 'The keys, without their secrets.',
  options: {
    project: { type: 'string', value: 'NAME', text: 'Only keys of this project.' },
    limit: { type: 'string', value: 'COUNT', text: 'How many at most.' },
    cursor: { type: 'string', value: 'CURSOR', text: 'Goes on where a list ended.' },
  },
  examples: ['bursar keys list', 'bursar keys list --project web', "bursar keys list --json | jq -r '.keys[].id'"],
  run: async ({ options, client }) => {
    const query = options.query(['project', 'limit', 'cursor'])
    const { json, value } = await client.send('GET', `/admin/keys${query}`)
    const rows = recordsIn(value.keys).map(keyRow)
    const table = tableText(['ID', 'NAME', 'PREFIX', 'STATUS', 'PROJECT', 'USER', 'LIMITS', 'EXPIRES AT'], rows)
    return { json, text: table + moreText(value.next_cursor) }
  },
}

const CREATE: Command = {
  name: 'keys create',
  arguments: ['NAME'],
  summary: 'Makes a key. Its secret is shown this once.',
  details: 'Once a key was made, calls without one are refused, for good.',
  options: {
    id: { type: 'string', value: 'ID', text: 'Its id. Without it, one is made from the name.' },
    ...FIELD_OPTIONS,
  },
  examples: [
    'bursar keys create "Web shop" --project web --limit costPerDay=5',
    "bursar keys create ann --user ann --model 'openai/*' --limit costPerMonth=20 --limit inFlight=2",
    'bursar keys create ci --expires-at 2027-01-01T00:00:00Z --json | jq -r .key',
  ],
  run: async ({ args: [name = ''], options, client }) => {
    const id = options.text('id')
    const body = { name, ...(id === undefined ? {} : { id }), ...fieldsOf(options) }
    const { json, value } = await client.send('POST', '/admin/keys', { body })
    return { json, text: withSecret(value) }
  },
}

const SHOW: Command = {
  name: 'keys show',
  arguments: ['ID'],
  summary: 'A key, without its secret.',
  examples: ['bursar keys show web-shop'],
  run: async ({ args: [id = ''], client }) => {
    const { json, value } = await client.send('GET', pathOf(id))
    return { json, text: fieldsText(value) }
  },
}

const UPDATE: Command = {
  name: 'keys update',
  arguments: ['ID'],
  summary: 'Changes a key. The change holds from the next call on.',
  details: 'Lists are replaced as a whole. Limits are changed one by one: what is not named stays.',
  options: {
    name: { type: 'string', value: 'NAME', text: 'Another name.' },
    ...FIELD_OPTIONS,
    unset: {
      type: 'string',
      multiple: true,
      value: 'FIELD',
      text: 'Takes a field back, such as expires_at or limits.costPerDay. May stand several times.',
    },
  },
  examples: [
    'bursar keys update web-shop --limit costPerDay=10',
    'bursar keys update web-shop --unset expires_at --unset limits.costPerDay',
  ],
  run: async ({ args: [id = ''], options, client }) => {
    const name = options.text('name')
    const patch: Record<string, unknown> = { ...(name === undefined ? {} : { name }), ...fieldsOf(options) }
    for (const field of options.texts('unset')) unset(patch, field)
    if (Object.keys(patch).length === 0)
      throw new UsageError('keys update needs something to change, such as --limit costPerDay=10.')
    const { json, value } = await client.send('PATCH', pathOf(id), { body: patch })
    return { json, text: fieldsText(value) }
  },
}

const ROTATE: Command = {
  name: 'keys rotate',
  arguments: ['ID'],
  summary: 'Gives a key another secret, which is shown this once. Its id, limits and figures stay.',
  options: {
    'grace-seconds': {
      type: 'string',
      value: 'SECONDS',
      text: 'How long the secret before works on. Without it, it ends at once.',
    },
  },
  examples: ['bursar keys rotate web-shop --grace-seconds 3600'],
  run: async ({ args: [id = ''], options, client }) => {
    const seconds = options.number('grace-seconds')
    const body = seconds === undefined ? {} : { grace_seconds: seconds }
    const { json, value } = await client.send('POST', `${pathOf(id)}/rotate`, { body })
    return { json, text: withSecret(value) }
  },
}

const DISABLE: Command = {
  name: 'keys disable',
  arguments: ['ID'],
  summary: 'Disables a key, from the next call on. Its figures stay.',
  examples: ['bursar keys disable web-shop'],
  run: async ({ args: [id = ''], client }) => {
    const { json, value } = await client.send('DELETE', pathOf(id))
    return { json, text: fieldsText(value) }
  },
}

const ENABLE: Command = {
  name: 'keys enable',
  arguments: ['ID'],
  summary: 'Enables a key that was disabled.',
  examples: ['bursar keys enable web-shop'],
  run: async ({ args: [id = ''], client }) => {
    const { json, value } = await client.send('PATCH', pathOf(id), { body: { disabled: false } })
    return { json, text: fieldsText(value) }
  },
}

export const KEY_COMMANDS: readonly Command[] = [LIST, CREATE, SHOW, UPDATE, ROTATE, DISABLE, ENABLE]

function pathOf(id: string): string {
  return `/admin/keys/${encodeURIComponent(id)}`
}

/** The fields of a key that the options name. Throws UsageError. */
function fieldsOf(options: Options): Record<string, unknown> {
  const fields: Record<string, unknown> = {}
  for (const field of TEXT_FIELDS) {
    const value = options.text(field.replaceAll('_', '-'))
    if (value !== undefined) fields[field] = value
  }
  for (const [option, field] of Object.entries(LIST_FIELDS)) {
    const items = options.texts(option)
    if (items.length > 0) fields[field] = items
  }
  const limits = options.texts('limit')
  if (limits.length > 0) fields.limits = limitsOf(limits)
  const metadata = options.text('metadata')
  if (metadata !== undefined) {
    fields.metadata = parseObject(metadata)
    if (fields.metadata === undefined)
      throw new UsageError(`--metadata must be a JSON object, such as '{"team": "web"}'.`)
  }
  return fields
}

/** `expires_at`, or a field of a field: `limits.costPerDay`. */
function unset(patch: Record<string, unknown>, field: string): void {
  const point = field.indexOf('.')
  if (point < 0) patch[field.replaceAll('-', '_')] = null
  else patch[field.slice(0, point)] = { ...recordOf(patch[field.slice(0, point)]), [field.slice(point + 1)]: null }
}

function keyRow(key: Readonly<Record<string, unknown>>): string[] {
  const limits = Object.entries(recordOf(key.limits)).map(([name, amount]) => `${name}=${cellOf(amount)}`)
  const status = key.status ?? (key.disabled === true || typeof key.disabled_at === 'string' ? 'disabled' : 'active')
  return [key.id, key.name, key.prefix, status, key.project, key.user, limits, key.expires_at].map(cellOf)
}

function withSecret({ key, ...others }: Readonly<Record<string, unknown>>): string {
  return `${fieldsText(others)}\nIts secret, which is not shown again:\n\n  ${cellOf(key)}\n`
}

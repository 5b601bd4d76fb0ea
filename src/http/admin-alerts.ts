// Alerts: /admin/alerts, who hears of what, and what was delivered. Addresses and secrets come in and never go out again.

import { z } from 'zod'
import type { Alerts, ReceiverState } from '../alerts/alerts.ts'
import { addressesOf, PrivateHost, resolveBySystem } from '../alerts/public-hosts.ts'
import { type AlertRow, smtpServerOf } from '../config/alerts.ts'
import { shown } from '../config/findings.ts'
import { didYouMean } from '../core/nearest-name.ts'
import { Problem } from '../core/problem.ts'
import { changeAlert, readSentAlert, removeAlert } from '../overrides/alerts.ts'
import type { KeyCipher } from '../overrides/key-cipher.ts'
import type { LiveConfiguration } from '../overrides/overrides.ts'
import { endpointsFor } from './endpoint.ts'
import { timeJson, timeSchema } from './views.ts'

export interface AlertAdminParts {
  readonly alerts: Pick<Alerts, 'states' | 'test' | 'drop'>
  readonly live: LiveConfiguration
  readonly cipher: KeyCipher
  /** What a row names and what does not exist. A sentence each, which begins with the place. */
  readonly alertWarnings: (row: AlertRow) => Promise<readonly string[]>
}

const endpoint = endpointsFor<AlertAdminParts>()
const nameSchema = z.strictObject({ name: z.string() })

const alertSchema = z.strictObject({
  name: z.string(),
  source: z.enum(['bursar.json', 'registry']),
  /** In the words of bursar.json, with secrets in disguise. */
  alert: z.record(z.string(), z.unknown()),
  /** Alerts that wait for delivery. */
  pending: z.number().int(),
  last_sent_at: timeSchema.nullable(),
  last_failed_at: timeSchema.nullable(),
  last_error: z.string().nullable(),
  /** True: the receiver has answered that it wants no more. */
  gone: z.boolean(),
  /** Why it is not in force; null if it is. */
  not_in_force: z.string().nullable(),
})

export const ALERTS = endpoint({
  method: 'GET',
  path: '/admin/alerts',
  role: 'admin',
  summary: 'Every receiver of alerts, with what was delivered to it. Addresses and secrets are in disguise.',
  answer: z.strictObject({ alerts: z.array(alertSchema) }),
}).handle(async (parts) => ({ answer: { alerts: await alertsJson(parts) } }))

export const SET_ALERT = endpoint({
  method: 'PUT',
  path: '/admin/alerts/:name',
  role: 'admin',
  summary: 'Sets a receiver of alerts, in the words of bursar.json.',
  params: nameSchema,
  body: z.record(z.string(), z.unknown()),
  answer: z.strictObject({ ...alertSchema.shape, warnings: z.array(z.string()) }),
}).handle(async (parts, { sender, params: { name }, body }) => {
  const { live, cipher } = parts
  const written = await body()
  const row = readSentAlert(name, written, live.state.settings.ALERTS_ALLOW_PRIVATE)
  await assertPublic(row)
  await live.change((state) => changeAlert(state, row, written, cipher), sender.actor)
  const set = (await alertsJson(parts)).find((alert) => alert.name === name)
  if (!set) throw new Error('An alert that was set is shown.')
  return { answer: { ...set, warnings: [...(await parts.alertWarnings(row))] } }
})

export const REMOVE_ALERT = endpoint({
  method: 'DELETE',
  path: '/admin/alerts/:name',
  role: 'admin',
  summary: 'Removes a receiver that is set here, with the alerts that wait for it.',
  params: nameSchema,
  answer: z.strictObject({ name: z.string(), removed: z.literal(true) }),
}).handle(async ({ live, alerts }, { sender, params: { name } }) => {
  await live.change((state) => removeAlert(state, name), sender.actor)
  await alerts.drop(name)
  return { answer: { name, removed: true } }
})

export const TEST_ALERT = endpoint({
  method: 'POST',
  path: '/admin/alerts/test',
  role: 'admin',
  summary: 'Sends a test to a receiver now, and says what the receiver answered.',
  body: nameSchema,
  answer: z.strictObject({ name: z.string(), ok: z.boolean(), message: z.string() }),
}).handle(async ({ alerts }, { body }) => {
  const { name } = await body()
  const attempt = await alerts.test(name)
  if (!attempt) {
    const names = (await alerts.states()).map(({ row }) => row.name)
    throw new Problem('not_found', `No alert is named ${shown(name)}.${didYouMean(name, names)}`, 'name')
  }
  const message = attempt.kind === 'delivered' ? (attempt.warning ?? attempt.reply) : attempt.error
  return { answer: { name, ok: attempt.kind === 'delivered', message } }
})

async function alertsJson({ alerts, live }: AlertAdminParts): Promise<z.output<typeof alertSchema>[]> {
  const { overrides } = live.state
  const inForce = (await alerts.states()).map((state) => stateJson(state, overrides.alerts.has(state.row.name)))
  const others = [...overrides.alerts.values()].flatMap((alert) =>
    'reason' in alert
      ? [
          {
            ...NOTHING_SENT,
            name: alert.name,
            source: 'registry' as const,
            alert: alert.shown,
            not_in_force: alert.reason,
          },
        ]
      : [],
  )
  return [...inForce, ...others]
}

const NOTHING_SENT = { pending: 0, last_sent_at: null, last_failed_at: null, last_error: null, gone: false }

function stateJson({ row, isGone, deliveries }: ReceiverState, isSetHere: boolean): z.output<typeof alertSchema> {
  const time = (atMs: number | null | undefined) => (atMs === null || atMs === undefined ? null : timeJson(atMs))
  return {
    name: row.name,
    source: isSetHere ? 'registry' : 'bursar.json',
    alert: { ...row.shown },
    pending: deliveries?.pending ?? 0,
    last_sent_at: time(deliveries?.lastSentAtMs),
    last_failed_at: time(deliveries?.lastFailedAtMs),
    last_error: deliveries?.lastError ?? null,
    gone: isGone,
    not_in_force: null,
  }
}

/** Throws Problem `invalid_request` if the host is private now, or is not found. It is checked again with each connection. */
async function assertPublic({ address, allowPrivate }: AlertRow): Promise<void> {
  const [place, host] =
    address.send === 'mail'
      ? ['server', smtpServerOf(address.server)?.host ?? '']
      : ['url', new URL(address.url).hostname.replace(/^\[|\]$/g, '')]
  if (allowPrivate) return
  try {
    await addressesOf(host, resolveBySystem, false)
  } catch (error) {
    const text = error instanceof PrivateHost ? error.message : `${host} cannot be found`
    throw new Problem('invalid_request', `${place}: ${text}.`, place)
  }
}

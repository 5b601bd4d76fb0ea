// Alerts: receivers that are set by PUT /admin/alerts/NAME. All of a receiver is stored encrypted, because any part of it can be a secret;
// beside it stands what is shown.

import { type AlertRow, readAlertRow } from '../config/alerts.ts'
import { type Finding, placeText, shown } from '../config/findings.ts'
import { isRecord } from '../core/json-values.ts'
import { Problem } from '../core/problem.ts'
import type { DocumentDraft, Registry } from '../stores/registry.ts'
import { type KeyCipher, sealedKeySchema } from './key-cipher.ts'
import type { ConfigurationState, OverrideChange, StoredAlert } from './overrides.ts'

const MAX_ALERTS = 100

/** The receivers in force: those that are set here, and those of bursar.json with other names. */
export function alertsInForce({
  file,
  overrides,
}: Pick<ConfigurationState, 'file' | 'overrides'>): readonly AlertRow[] {
  const own = [...overrides.alerts.values()].flatMap((alert) => ('reason' in alert ? [] : [alert]))
  return [...own, ...file.alerts.filter(({ name }) => !overrides.alerts.has(name))]
}

/**
 * Warnings of the receivers that are set here, a sentence each.
 * @param warningsOf of one row: a sentence each, which begins with the place in the row
 */
export function storedAlertWarnings(
  { overrides }: Pick<ConfigurationState, 'overrides'>,
  warningsOf: (row: AlertRow) => readonly string[],
): readonly string[] {
  return [...overrides.alerts.values()].flatMap((alert) =>
    'reason' in alert ? [] : warningsOf(alert).map((text) => `/admin/alerts/${alert.name}: ${text}`),
  )
}

/** A row as it is sent to PUT /admin/alerts/NAME. Throws Problem `invalid_request` with the place of each mistake. */
export function readSentAlert(
  name: string,
  written: Readonly<Record<string, unknown>>,
  allowsPrivate: boolean,
): AlertRow {
  const mistakes: Finding[] = []
  if (written.name !== undefined && written.name !== name)
    mistakes.push({ place: ['name'], text: `must be the name in the path, ${shown(name)}, or absent` })
  const row = readAlertRow({ ...written, name }, [], { canAllowPrivate: false, allowsPrivate }, mistakes)
  const [first] = mistakes
  if (row && !first) return row
  const texts = mistakes.map(({ place, text }) => `${placeText(place, 'alert')}: ${text}`)
  throw new Problem('invalid_request', texts.join('; '), placeText(first?.place ?? [], 'alert'))
}

/** Rejects with Problem: `forbidden` without BURSAR_SECRET, `conflict` if there are too many. */
export async function changeAlert(
  { overrides }: ConfigurationState,
  row: AlertRow,
  written: Readonly<Record<string, unknown>>,
  cipher: KeyCipher,
): Promise<OverrideChange> {
  const { name } = row
  if (!cipher.isReady)
    throw new Problem('forbidden', 'Set BURSAR_SECRET and start again: receivers are stored encrypted under it.')
  if (!overrides.alerts.has(name) && overrides.alerts.size >= MAX_ALERTS)
    throw new Problem('conflict', `There are ${MAX_ALERTS} receivers already. Remove one first.`)
  const sealed = await cipher.seal(JSON.stringify({ ...written, name }), placeOf(name))
  const drafts: DocumentDraft[] = [
    { kind: 'alert', id: name, value: row.shown },
    { kind: 'alert-secret', id: name, value: sealed },
  ]
  return { overrides: { ...overrides, alerts: new Map([...overrides.alerts, [name, row]]) }, drafts }
}

/** Throws Problem `not_found` if no receiver of that name is set here. */
export function removeAlert({ overrides }: ConfigurationState, name: string): OverrideChange {
  const alerts = new Map(overrides.alerts)
  if (!alerts.delete(name)) throw new Problem('not_found', `No alert named ${shown(name)} is set here.`, 'name')
  const drafts: DocumentDraft[] = (['alert', 'alert-secret'] as const).map((kind) => ({ kind, id: name, value: null }))
  return { overrides: { ...overrides, alerts }, drafts }
}

/** What the registry holds. Rejects as `Registry.read`. */
export async function readStoredAlerts(
  registry: Pick<Registry, 'read'>,
  cipher: KeyCipher,
  allowsPrivate: boolean,
): Promise<ReadonlyMap<string, StoredAlert>> {
  const [documents, secrets] = await Promise.all([registry.read('alert'), registry.read('alert-secret')])
  const sealed = new Map(secrets.map(({ id, value }) => [id, sealedKeySchema.safeParse(value).data]))
  const alerts = new Map<string, StoredAlert>()
  for (const { id: name, value } of documents) {
    const secret = sealed.get(name)
    const text = cipher.isReady && secret ? await cipher.open(secret, placeOf(name)) : undefined
    const row =
      text === undefined ? undefined : readAlertRow(JSON.parse(text), [], { canAllowPrivate: false, allowsPrivate }, [])
    const reason =
      text === undefined
        ? `It cannot be decrypted: set the BURSAR_SECRET that it was stored under and start again, or send it again to PUT /admin/alerts/${name}`
        : `It is not allowed any more: send it again to PUT /admin/alerts/${name}, which says why`
    alerts.set(name, row ?? { name, shown: isRecord(value) ? value : {}, reason })
  }
  return alerts
}

function placeOf(name: string): string {
  return `alert/${name}`
}

// Documents: the overrides as the registry keeps them. A document that cannot be read is left where it is, and warned of.

import { z } from 'zod'
import type { Finding } from '../config/findings.ts'
import { readPrices } from '../config/prices.ts'
import type { Document, Registry } from '../stores/registry.ts'
import { providerAddress } from './address.ts'
import { readStoredAlerts } from './alerts.ts'
import { type KeyCipher, type SealedKey, sealedKeySchema } from './key-cipher.ts'
import type { Overrides, ProviderRecord, StoredKey } from './overrides.ts'
import { DEFAULT_MODELS_ID, DEFAULT_PROVIDER_ID, RETENTION_DAYS_ID } from './settings.ts'

const providerSchema = z.strictObject({
  api_key: z.string().nullable(),
  base_url: z
    .string()
    .refine((text) => providerAddress(text) === text)
    .nullable(),
})
const modelsSchema = z.record(z.string(), z.string())

/** What the registry holds. */
export interface ReadOverrides {
  readonly overrides: Overrides
  /** A sentence each, which begins with the document. */
  readonly warnings: readonly string[]
}

/** Reads all documents and decrypts all keys. Keys that cannot be decrypted say why. Rejects as `Registry.read`. */
export async function readOverrides(
  registry: Pick<Registry, 'read'>,
  cipher: KeyCipher,
  allowsPrivate: boolean,
): Promise<ReadOverrides> {
  const warnings: string[] = []
  const ignore = ({ kind, id }: Document) => warnings.push(`${kind}/${id}: cannot be read, and is ignored`)
  const [settings, prices, providers, secrets] = await Promise.all(
    (['setting', 'price', 'provider', 'provider-secret'] as const).map((kind) => registry.read(kind)),
  )
  const sealedKeys = new Map(secrets?.map(({ id, value }) => [id, sealedKeySchema.safeParse(value).data]))
  const records = new Map<string, ProviderRecord>()
  for (const document of providers ?? []) {
    const { id } = document
    const record = providerSchema.safeParse(document.value).data
    if (!record) {
      ignore(document)
      continue
    }
    const { api_key: shown, base_url: baseUrl } = record
    const key = shown === null ? null : await openKey(shown, sealedKeys.get(id), { provider: id, baseUrl }, cipher)
    records.set(id, { key, baseUrl })
  }
  const overrides = {
    ...readSettings(settings ?? [], ignore),
    prices: readRows(prices ?? [], ignore),
    providers: records,
    alerts: await readStoredAlerts(registry, cipher, allowsPrivate),
  }
  return { overrides, warnings }
}

async function openKey(
  shown: string,
  sealed: SealedKey | undefined,
  place: { readonly provider: string; readonly baseUrl: string | null },
  cipher: KeyCipher,
): Promise<StoredKey> {
  const again = `send the key again to PUT /admin/providers/${place.provider}`
  if (!cipher.isReady)
    return {
      shown,
      reason: `Its key is stored encrypted, and BURSAR_SECRET is not set: set it and start again, or ${again}`,
    }
  const secret = sealed && (await cipher.open(sealed, place))
  if (secret !== undefined) return { shown, secret }
  const reason = `Its stored key cannot be decrypted: set the BURSAR_SECRET that it was stored under and start again, or ${again}`
  return { shown, reason }
}

function readSettings(documents: readonly Document[], ignore: (document: Document) => void) {
  let defaultProvider: string | null = null
  let defaultModels: ReadonlyMap<string, string> = new Map()
  let retentionDays: number | null = null
  for (const document of documents) {
    const { id, value } = document
    const models = id === DEFAULT_MODELS_ID ? modelsSchema.safeParse(value).data : undefined
    if (models) defaultModels = new Map(Object.entries(models))
    else if (id === DEFAULT_PROVIDER_ID && typeof value === 'string') defaultProvider = value
    else if (id === RETENTION_DAYS_ID && typeof value === 'number') retentionDays = value
    else ignore(document)
  }
  return { defaultProvider, defaultModels, retentionDays }
}

function readRows(documents: readonly Document[], ignore: (document: Document) => void) {
  return documents.flatMap((document) => {
    const mistakes: Finding[] = []
    const rows = [...readPrices([document.value], mistakes).rows.values()]
    if (mistakes.length > 0) ignore(document)
    return rows
  })
}

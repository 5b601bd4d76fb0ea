// Recordings: exchanges with providers. Those of test/recordings were written for this repository; those of ../shared/recordings
// are real, recorded by other projects, and are not in every checkout.

import { existsSync, globSync, readFileSync } from 'node:fs'

const OWN_FOLDER = new URL('../recordings/', import.meta.url)
const SHARED_FOLDER = new URL('../../../shared/recordings/', import.meta.url)

/** Counts that somebody else read: `input_tokens` is all input, `output_tokens` all output. */
export type ExpectedUsage = Readonly<Record<string, number>>

/** What is known of an exchange: a line of the shared index, or fields of a recording of our own. */
export interface RecordingInfo {
  readonly file: string
  readonly provider: string
  readonly api: string
  readonly stream: boolean
  readonly status: number
  readonly model: string | null
  readonly request_model: string | null
  readonly fidelity: string
  readonly flags: readonly string[]
  readonly quirks: readonly string[]
  readonly expected_usage: ExpectedUsage | null
  readonly expected_cost_usd: number | null
  /** What the provider says that the exchange cost. */
  readonly provider_cost_usd: number | null
}

export interface Recording extends RecordingInfo {
  /** A real exchange, of ../shared/recordings. */
  readonly isShared: boolean
  readonly request: {
    readonly path: string
    /** Null where the recorder kept none. */
    readonly body: unknown
    /** Media was cut out of the body: its size says nothing. */
    readonly body_trimmed?: unknown
  } | null
  readonly response: {
    readonly headers: Readonly<Record<string, string>>
    readonly body: string
    /** Lengths of the chunks as they came off the socket. */
    readonly chunk_bytes?: readonly number[]
  }
}

/** True if the real recordings are at hand. Only then can their numbers be checked. */
export const HAS_SHARED_RECORDINGS = existsSync(new URL('index.json', SHARED_FOLDER))

/** A line of the index, and the folder that holds its file. */
interface Listed extends RecordingInfo {
  readonly folder: URL
}

const readJson = (file: string, folder: URL) => JSON.parse(readFileSync(new URL(file, folder), 'utf8'))

function listRecordings(): Listed[] {
  const shared: RecordingInfo[] = HAS_SHARED_RECORDINGS ? readJson('index.json', SHARED_FOLDER) : []
  const own = globSync('*.json', { cwd: OWN_FOLDER }).toSorted()
  return [
    ...shared.map((info) => ({ ...info, folder: SHARED_FOLDER })),
    ...own.map((file) => ({ ...readJson(file, OWN_FOLDER), file, folder: OWN_FOLDER })),
  ]
}

const LISTED = listRecordings()

/** The APIs that there are recordings of. */
export function recordedApis(): string[] {
  return [...new Set(LISTED.map(({ api }) => api))]
}

/** Every recorded exchange of an API, real ones first. */
export function recordingsOf(api: string): Recording[] {
  return LISTED.filter((listed) => listed.api === api).map(({ folder, ...info }) => ({
    ...info,
    ...readJson(info.file, folder),
    isShared: folder === SHARED_FOLDER,
  }))
}

/** Those that are not our own. */
export function sharedOf<Item extends { readonly isShared: boolean }>(recordings: readonly Item[]): Item[] {
  return recordings.filter(({ isShared }) => isShared)
}

/** The response's bytes cut at these lengths; what is left over comes last. */
export function splitAt(bytes: Buffer, lengths: readonly number[]): Buffer[] {
  const chunks: Buffer[] = []
  let from = 0
  for (const length of lengths) {
    chunks.push(bytes.subarray(from, from + length))
    from += length
  }
  if (from < bytes.length) chunks.push(bytes.subarray(from))
  return chunks.filter((chunk) => chunk.length > 0)
}

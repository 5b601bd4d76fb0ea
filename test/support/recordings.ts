// Recordings: real exchanges with providers, recorded by other projects. Kept beside the repository, not in it.

import { existsSync, readFileSync } from 'node:fs'

const FOLDER = new URL('../../../shared/recordings/', import.meta.url)

/** Counts of another party's calculator: `input_tokens` is all input, `output_tokens` all output. */
export type ExpectedUsage = Readonly<Record<string, number>>

/** One line of the index. */
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
}

export interface Recording extends RecordingInfo {
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

/** True where the recordings are at hand. */
export const HAS_RECORDINGS = existsSync(new URL('index.json', FOLDER))

/** The APIs that there are recordings of. */
export function recordedApis(): string[] {
  if (!HAS_RECORDINGS) return []
  const index: RecordingInfo[] = JSON.parse(readFileSync(new URL('index.json', FOLDER), 'utf8'))
  return [...new Set(index.map(({ api }) => api))]
}

/** Every recorded exchange of an API; none where the folder is absent. */
export function recordingsOf(api: string): Recording[] {
  if (!HAS_RECORDINGS) return []
  const index: RecordingInfo[] = JSON.parse(readFileSync(new URL('index.json', FOLDER), 'utf8'))
  return index
    .filter((listed) => listed.api === api)
    .map((listed) => ({ ...listed, ...JSON.parse(readFileSync(new URL(listed.file, FOLDER), 'utf8')) }))
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

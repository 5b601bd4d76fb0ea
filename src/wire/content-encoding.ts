// Decode: reads along with compressed answers for metering; what the caller gets stays as the provider compressed it.

import type { Transform } from 'node:stream'
import { promisify } from 'node:util'
import {
  brotliDecompress,
  constants,
  createBrotliDecompress,
  createGunzip,
  createInflate,
  createZstdDecompress,
  gunzip,
  inflate,
  zstdDecompress,
} from 'node:zlib'

type Decompress = (bytes: Buffer, options: { maxOutputLength: number }) => Promise<Buffer>

const DECOMPRESSORS: Readonly<Record<string, Decompress>> = {
  gzip: promisify(gunzip),
  'x-gzip': promisify(gunzip),
  deflate: promisify(inflate),
  br: promisify(brotliDecompress),
  zstd: promisify(zstdDecompress),
}

const SYNC_FLUSH = constants.Z_SYNC_FLUSH
const STREAM_DECOMPRESSORS: Readonly<Record<string, () => Transform>> = {
  gzip: () => createGunzip({ flush: SYNC_FLUSH }),
  'x-gzip': () => createGunzip({ flush: SYNC_FLUSH }),
  deflate: () => createInflate({ flush: SYNC_FLUSH }),
  br: () => createBrotliDecompress({ flush: constants.BROTLI_OPERATION_FLUSH }),
  zstd: () => createZstdDecompress({ flush: constants.ZSTD_e_flush }),
}

/** True for answers that are not plain. */
export function isEncoded(encoding: string | undefined): encoding is string {
  return encoding !== undefined && encoding !== '' && encoding !== 'identity'
}

/** The plain bytes of a whole answer. Rejects what it cannot decode, and what grows beyond `mostBytes`. */
export async function decompressBody(bytes: Buffer, encoding: string, mostBytes: number): Promise<Buffer> {
  const inflateWhole = Object.hasOwn(DECOMPRESSORS, encoding) ? DECOMPRESSORS[encoding] : undefined
  if (!inflateWhole) throw new Error(`unknown content encoding ${encoding.slice(0, 32)}`)
  return inflateWhole(bytes, { maxOutputLength: mostBytes })
}

/** Decodes a stream piece by piece. */
export class StreamDecoder {
  readonly #transform: Transform | undefined
  #hasFailed = false

  /** @param plain gets the decoded bytes; nothing more once something could not be decoded */
  constructor(encoding: string, plain: (chunk: Buffer) => void) {
    this.#transform = Object.hasOwn(STREAM_DECOMPRESSORS, encoding) ? STREAM_DECOMPRESSORS[encoding]?.() : undefined
    this.#transform?.on('data', plain)
    this.#transform?.on('error', () => {
      this.#hasFailed = true
    })
  }

  /** Calls `then` once everything that these bytes decode to has been handed over. */
  push(chunk: Buffer, then: () => void): void {
    if (!this.#transform || this.#hasFailed) then()
    else this.#transform.write(chunk, () => then())
  }

  end(then: () => void): void {
    if (!this.#transform || this.#hasFailed) return then()
    let told = false
    const once = () => {
      if (told) return
      told = true
      then()
    }
    this.#transform.on('end', once)
    this.#transform.on('error', once)
    this.#transform.end()
  }
}

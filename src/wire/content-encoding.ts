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

type Inflate = (bytes: Buffer, options: { maxOutputLength: number }) => Promise<Buffer>

const WHOLE: Readonly<Record<string, Inflate>> = {
  gzip: promisify(gunzip),
  'x-gzip': promisify(gunzip),
  deflate: promisify(inflate),
  br: promisify(brotliDecompress),
  zstd: promisify(zstdDecompress),
}

const flush = constants.Z_SYNC_FLUSH
const STREAMING: Readonly<Record<string, () => Transform>> = {
  gzip: () => createGunzip({ flush }),
  'x-gzip': () => createGunzip({ flush }),
  deflate: () => createInflate({ flush }),
  br: () => createBrotliDecompress({ flush: constants.BROTLI_OPERATION_FLUSH }),
  zstd: () => createZstdDecompress({ flush: constants.ZSTD_e_flush }),
}

/** True for answers that are not plain. */
export function isEncoded(encoding: string | undefined): encoding is string {
  return encoding !== undefined && encoding !== '' && encoding !== 'identity'
}

/** The plain bytes of a whole answer. Rejects what it cannot decode, and what grows beyond `mostBytes`. */
export async function decoded(bytes: Buffer, encoding: string, mostBytes: number): Promise<Buffer> {
  const inflateWhole = Object.hasOwn(WHOLE, encoding) ? WHOLE[encoding] : undefined
  if (!inflateWhole) throw new Error(`unknown content encoding ${encoding.slice(0, 32)}`)
  return inflateWhole(bytes, { maxOutputLength: mostBytes })
}

/** Decodes a stream piece by piece. */
export class StreamDecoder {
  readonly #transform: Transform | undefined
  #broken = false

  /** @param plain gets the decoded bytes; nothing more once something could not be decoded */
  constructor(encoding: string, plain: (chunk: Buffer) => void) {
    this.#transform = Object.hasOwn(STREAMING, encoding) ? STREAMING[encoding]?.() : undefined
    this.#transform?.on('data', plain)
    this.#transform?.on('error', () => {
      this.#broken = true
    })
  }

  /** Calls `then` once everything that these bytes decode to has been handed over. */
  push(chunk: Buffer, then: () => void): void {
    if (!this.#transform || this.#broken) then()
    else this.#transform.write(chunk, () => then())
  }

  end(then: () => void): void {
    if (!this.#transform || this.#broken) return then()
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

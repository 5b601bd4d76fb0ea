// Content encodings: decodes compressed answers for metering. The caller gets the bytes as the provider compressed them.

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

/** True if an answer with this content encoding is compressed. */
export function isEncoded(encoding: string | undefined): encoding is string {
  return encoding !== undefined && encoding !== '' && encoding !== 'identity'
}

/** The plain bytes of a whole answer. Rejects if it cannot decode them, or if they are more than `maxBytes`. */
export async function decompressBody(bytes: Buffer, encoding: string, maxBytes: number): Promise<Buffer> {
  const inflateWhole = Object.hasOwn(DECOMPRESSORS, encoding) ? DECOMPRESSORS[encoding] : undefined
  if (!inflateWhole) throw new Error(`unknown content encoding ${encoding.slice(0, 32)}`)
  return inflateWhole(bytes, { maxOutputLength: maxBytes })
}

/** Decodes a stream chunk by chunk. Stops without an error at bytes that it cannot decode. */
export class StreamDecoder {
  readonly #transform: Transform | undefined
  #hasFailed = false

  /** @param onPlain gets the decoded bytes, up to the first that could not be decoded */
  constructor(encoding: string, onPlain: (chunk: Buffer) => void) {
    this.#transform = Object.hasOwn(STREAM_DECOMPRESSORS, encoding) ? STREAM_DECOMPRESSORS[encoding]?.() : undefined
    this.#transform?.on('data', onPlain)
    this.#transform?.on('error', () => {
      this.#hasFailed = true
    })
  }

  /** Calls `then` when all that these bytes decode to has been passed on. */
  push(chunk: Buffer, then: () => void): void {
    if (!this.#transform || this.#hasFailed) then()
    else this.#transform.write(chunk, () => then())
  }

  /** Calls `then` once, when the rest has been passed on. */
  end(then: () => void): void {
    if (!this.#transform || this.#hasFailed) return then()
    let hasEnded = false
    const once = () => {
      if (hasEnded) return
      hasEnded = true
      then()
    }
    this.#transform.on('end', once)
    this.#transform.on('error', once)
    this.#transform.end()
  }
}

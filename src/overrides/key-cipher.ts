// Key cipher: encrypts providers' keys by AES-256-GCM, under a key that is derived from BURSAR_SECRET once.

import { createCipheriv, createDecipheriv, scrypt } from 'node:crypto'
import { z } from 'zod'

const ALGORITHM = 'aes-256-gcm'
const KEY_BYTES = 32
const NONCE_BYTES = 12
const TAG_BYTES = 16
/** One guess of a secret takes a tenth of a second and 32 MB. */
const SCRYPT_COST = { N: 32_768, r: 8, p: 1, maxmem: 67_108_864 }
/** Keeps the key apart from any other that somebody derives from the same secret. */
const SALT = 'bursar/provider-secret/1'

const base64Schema = z.base64()

/** An encrypted key, as a document of kind `provider-secret` holds it. Base64. */
export const sealedKeySchema = z.strictObject({ nonce: base64Schema, sealed: base64Schema })
export type SealedKey = z.output<typeof sealedKeySchema>

/** The record that a key belongs to. It is authenticated: a key that is moved to another record cannot be read there. */
export interface KeyPlace {
  readonly provider: string
  /** The address that the key was given for; null for that of the settings. */
  readonly baseUrl: string | null
}

export class KeyCipher {
  readonly #secret: string
  readonly #randomBytes: (size: number) => Uint8Array
  #key: Promise<Buffer> | undefined

  /** @param secret BURSAR_SECRET. Empty: nothing can be encrypted or decrypted. */
  constructor(secret: string, randomBytes: (size: number) => Uint8Array) {
    this.#secret = secret
    this.#randomBytes = randomBytes
  }

  get isReady(): boolean {
    return this.#secret !== ''
  }

  async seal(text: string, place: KeyPlace | string): Promise<SealedKey> {
    const nonce = Buffer.from(this.#randomBytes(NONCE_BYTES))
    const cipher = createCipheriv(ALGORITHM, await this.#derivedKey(), nonce, { authTagLength: TAG_BYTES })
    cipher.setAAD(placeBytes(place))
    const sealed = Buffer.concat([cipher.update(text, 'utf8'), cipher.final(), cipher.getAuthTag()])
    return { nonce: nonce.toString('base64'), sealed: sealed.toString('base64') }
  }

  /** Undefined if it was sealed under another secret, for another place, or was changed since. */
  async open({ nonce, sealed }: SealedKey, place: KeyPlace | string): Promise<string | undefined> {
    const key = await this.#derivedKey()
    const bytes = Buffer.from(sealed, 'base64')
    const tagAt = bytes.length - TAG_BYTES
    try {
      const decipher = createDecipheriv(ALGORITHM, key, Buffer.from(nonce, 'base64'), { authTagLength: TAG_BYTES })
      decipher.setAAD(placeBytes(place)).setAuthTag(bytes.subarray(tagAt))
      return Buffer.concat([decipher.update(bytes.subarray(0, tagAt)), decipher.final()]).toString()
    } catch {
      return undefined
    }
  }

  #derivedKey(): Promise<Buffer> {
    this.#key ??= new Promise((resolve, reject) =>
      scrypt(this.#secret, SALT, KEY_BYTES, SCRYPT_COST, (error, key) => (error ? reject(error) : resolve(key))),
    )
    return this.#key
  }
}

/** A place that is no provider's is one name, such as `alert/ops`. */
function placeBytes(place: KeyPlace | string): Buffer {
  if (typeof place === 'string') return Buffer.from(JSON.stringify([place]))
  const { provider, baseUrl } = place
  return Buffer.from(JSON.stringify([provider, baseUrl]))
}

// Secret stamps: tell whether a secret is still the one that a session began with. A stamp of a secret that a person chose takes a
// twentieth of a second to make, so whoever reads the ledger does not guess the secret by it.

import { scrypt } from 'node:crypto'
import { z } from 'zod'
import type { SecretHolder } from '../keys/callers.ts'

const SALT_BYTES = 16
const STAMP_BYTES = 32
const SCRYPT_COST = { N: 16_384, r: 8, p: 1 }

/** `digest`: SHA-256 of a made secret, which nobody can guess. `scrypt`: of the digest of a chosen one, with its salt, as base64url. */
export const stampSchema = z.union([
  z.strictObject({ digest: z.string() }),
  z.strictObject({ salt: z.string(), scrypt: z.string() }),
])
export type SecretStamp = z.output<typeof stampSchema>

/** Makes one stamp for each chosen secret, so that checking the sessions of a start takes no longer the more there are. */
export class SecretStamps {
  readonly #randomBytes: (size: number) => Uint8Array
  /** By the digest of the secret. */
  readonly #salts = new Map<string, string>()
  /** By digest and salt. */
  readonly #stamps = new Map<string, Promise<string>>()

  constructor(randomBytes: (size: number) => Uint8Array) {
    this.#randomBytes = randomBytes
  }

  async stampOf({ secretDigest, isChosen }: SecretHolder): Promise<SecretStamp> {
    if (!isChosen) return { digest: secretDigest }
    const salt = this.#salts.get(secretDigest) ?? Buffer.from(this.#randomBytes(SALT_BYTES)).toString('base64url')
    this.#salts.set(secretDigest, salt)
    return { salt, scrypt: await this.#scrypt(secretDigest, salt) }
  }

  /**
   * The digest of the secret that a stamp is of. Undefined if that is no longer the secret.
   * @param chosenDigest of the secret that the settings have for the same holder now
   */
  async digestOf(stamp: SecretStamp, chosenDigest: string | undefined): Promise<string | undefined> {
    if ('digest' in stamp) return stamp.digest
    if (chosenDigest === undefined) return undefined
    if ((await this.#scrypt(chosenDigest, stamp.salt)) !== stamp.scrypt) return undefined
    this.#salts.set(chosenDigest, stamp.salt)
    return chosenDigest
  }

  #scrypt(secretDigest: string, salt: string): Promise<string> {
    const name = `${secretDigest}/${salt}`
    const stamp =
      this.#stamps.get(name) ??
      new Promise<string>((resolve, reject) =>
        scrypt(secretDigest, salt, STAMP_BYTES, SCRYPT_COST, (error, bytes) =>
          error ? reject(error) : resolve(bytes.toString('base64url')),
        ),
      )
    this.#stamps.set(name, stamp)
    return stamp
  }
}

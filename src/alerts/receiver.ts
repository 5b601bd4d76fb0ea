// Receiver: what delivers messages to one kind of address, and what can become of an attempt.

import type { ReceiverAddress } from '../config/alerts.ts'
import { hidden } from './hidden.ts'
import type { AlertMessage } from './messages.ts'

/** A message on its way. */
export interface Parcel {
  /** The same for every attempt. */
  readonly id: string
  readonly message: AlertMessage
  /** The message as JSON, as it was stored. */
  readonly json: string
  /** Epoch seconds of this attempt. */
  readonly atSeconds: number
}

/** What became of an attempt. Texts hold no secret, and no more of an address than its host. */
export type Attempt =
  | {
      readonly kind: 'delivered'
      /** What the receiver said. */
      readonly reply: string
      /** What was not delivered all the same; absent if all was. */
      readonly warning?: string
    }
  | {
      readonly kind: 'failed'
      readonly error: string
      /** `soon`: the receiver may be back in a moment. `seldom`: it understood, and refused. */
      readonly retry: 'soon' | 'seldom'
      /** What the receiver asked to wait. */
      readonly retryAfterMs?: number
    }
  /** The receiver asks for no more messages. */
  | { readonly kind: 'gone'; readonly error: string }

export type AddressOf<Send extends ReceiverAddress['send']> = Extract<ReceiverAddress, { readonly send: Send }>

/** Delivers to one kind of address. Never rejects. */
export type Deliver<Send extends ReceiverAddress['send']> = (
  address: AddressOf<Send>,
  parcel: Parcel,
  allowPrivate: boolean,
  signal: AbortSignal,
) => Promise<Attempt>

const MAX_TEXT_CHARACTERS = 300

/** A text of a receiver or of the network, on one line, not too long, and without the secrets. */
export function plainText(text: string, secrets: readonly string[] = []): string {
  const line = hidden(text, secrets)
    .replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}\s]+/gu, ' ')
    .trim()
  return line.length > MAX_TEXT_CHARACTERS ? `${line.slice(0, MAX_TEXT_CHARACTERS)}…` : line
}

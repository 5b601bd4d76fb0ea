// Names: small numbers for the names that packed calls hold. A name gets its number when it first occurs, and keeps it.

import type { DatabaseSync, StatementSync } from 'node:sqlite'
import { RecentMap } from '../../../core/recent-map.ts'

/** `target`: a model of a provider. `holder`: organisation, project and key together, as most keys have one of each. */
export type NameKind = 'target' | 'holder' | 'user' | 'agent' | 'operation'

/** Names in memory, of each kind. */
const MAX_KNOWN_NAMES = 50_000

/** No name. */
export const NO_NAME = 0

export class Names {
  readonly #find: StatementSync
  readonly #add: StatementSync
  readonly #textOf: StatementSync
  readonly #ids = new Map<NameKind, RecentMap<number>>()
  readonly #texts = new RecentMap<string>(MAX_KNOWN_NAMES)

  constructor(db: DatabaseSync) {
    this.#find = db.prepare('SELECT id FROM name WHERE kind = ? AND text = ?')
    this.#add = db.prepare('INSERT INTO name (kind, text) VALUES (?, ?) RETURNING id')
    this.#textOf = db.prepare('SELECT text FROM name WHERE id = ?')
  }

  /** The number of a name, new if need be. */
  idOf(kind: NameKind, text: string): number {
    return this.find(kind, text) ?? this.#addName(kind, text)
  }

  find(kind: NameKind, text: string): number | undefined {
    const known = this.#knownOf(kind)
    const knownId = known.get(text)
    if (knownId !== undefined) return knownId
    const row = this.#find.get(kind, text)
    if (!row) return undefined
    const id = Number(row.id)
    known.set(text, id)
    return id
  }

  textOf(id: number): string {
    const known = this.#texts.get(`${id}`)
    if (known !== undefined) return known
    const text = String(this.#textOf.get(BigInt(id))?.text ?? '')
    this.#texts.set(`${id}`, text)
    return text
  }

  /** Forgets names that were added in a transaction that was rolled back. */
  forget(): void {
    this.#ids.clear()
  }

  #addName(kind: NameKind, text: string): number {
    const id = Number(this.#add.get(kind, text)?.id)
    this.#knownOf(kind).set(text, id)
    return id
  }

  #knownOf(kind: NameKind): RecentMap<number> {
    let known = this.#ids.get(kind)
    if (!known) this.#ids.set(kind, (known = new RecentMap(MAX_KNOWN_NAMES)))
    return known
  }
}

/** The name of a holder. */
export function holderText(organisation: string | null, project: string | null, key: string | null): string {
  return JSON.stringify([organisation, project, key])
}

export interface Holder {
  readonly organisation: string | null
  readonly project: string | null
  readonly key: string | null
}

export function parseHolder(text: string): Holder {
  const [organisation, project, key]: readonly (string | null)[] = JSON.parse(text)
  return { organisation: organisation ?? null, project: project ?? null, key: key ?? null }
}

// Tool names: gives each tool of a request a name that the target accepts, the same one in every place and in every call, and
// knows the caller's name for it.

import type { ChatRequest } from '../core/chat.ts'
import { hashOf } from './dialect-fields.ts'
import type { ToolNameRules } from './target-rules.ts'

/** How much of the hash tells shortened names apart. */
const HASH_CHARACTERS = 8

/** The names of one request's tools. */
export class ToolNames {
  readonly #rules: ToolNameRules
  readonly #sentNames = new Map<string, string>()
  readonly #callerNames = new Map<string, string>()

  /** Names that are accepted stay as they are. */
  constructor(request: ChatRequest, rules: ToolNameRules) {
    this.#rules = rules
    const names = namesIn(request)
    const illegal = [...names].filter((name) => this.#legalForm(name) !== name)
    const taken = new Set([...names].filter((name) => this.#legalForm(name) === name))
    for (const name of illegal) {
      const sentName = this.#newName(name, taken)
      taken.add(sentName)
      this.#sentNames.set(name, sentName)
      this.#callerNames.set(sentName, name)
    }
  }

  /** The caller's names by the names that were sent in their place. Names that were sent unchanged are absent. */
  get callerNames(): ReadonlyMap<string, string> {
    return this.#callerNames
  }

  /** The name that is sent for a caller's name. */
  sentName(name: string): string {
    return this.#sentNames.get(name) ?? name
  }

  #legalForm(name: string): string {
    const { maxCharacters, illegalCharacter, legalStart } = this.#rules
    const characters = name.replace(illegalCharacter, '_')
    const started = legalStart && !legalStart.test(characters) ? `_${characters}` : characters
    return started.slice(0, maxCharacters)
  }

  /** The hash is of the whole name, so a tool has the same name in every call. */
  #newName(name: string, taken: ReadonlySet<string>): string {
    const form = this.#legalForm(name)
    for (let attempt = 0; ; attempt++) {
      const hash = hashOf(attempt === 0 ? name : `${name} ${attempt}`).slice(-HASH_CHARACTERS)
      const head = form.slice(0, this.#rules.maxCharacters - HASH_CHARACTERS - 1)
      const candidate = `${head}_${hash}`
      if (!taken.has(candidate)) return candidate
    }
  }
}

/** The names of the tools, of the choice, and of the calls and results in the conversation. */
function namesIn({ tools = [], toolChoice, messages }: ChatRequest): Set<string> {
  const names = new Set<string>()
  for (const tool of tools) if (tool.kind === 'function') names.add(tool.name)
  if (toolChoice?.kind === 'tools') for (const name of toolChoice.names) names.add(name)
  for (const { parts } of messages)
    for (const part of parts) if (part.kind === 'toolCall' || part.kind === 'toolResult') names.add(part.name)
  return names
}

// Executed tools: what Groq ran for a chat completion, as its messages list it. Groq bills its browser by the search and by the visit.

import type { JsonCursor } from '../json/cursor.ts'
import { eachObject, ObjectReader } from '../json/object-reader.ts'

/** Each use counts once, however often a stream repeats it. */
export interface ExecutedTools {
  readonly searches: Set<string>
  readonly visits: Set<string>
  /** Uses of tools whose price is not known, by the tools' names. */
  readonly others: Set<string>
  /** True once a message has had such a list. */
  isListed: boolean
}

export function newExecutedTools(): ExecutedTools {
  return { searches: new Set(), visits: new Set(), others: new Set(), isListed: false }
}

/** Uses of one kind beyond this number are not counted. */
const MAX_USES = 10_000
const MAX_KEY_CHARACTERS = 128

interface ExecutedTool {
  type: string | null
  name: string | null
  /** Tells uses apart. */
  index: string | null
  arguments: string | null
}

const EXECUTED_TOOL = new ObjectReader<ExecutedTool>({
  type(json, tool) {
    tool.type = json.stringOrNull()
  },
  name(json, tool) {
    tool.name = json.stringOrNull()
  },
  index(json, tool) {
    tool.index = json.text(json.range())
  },
  arguments(json, tool) {
    tool.arguments = json.text(json.range())
  },
})

export function readExecutedTools(json: JsonCursor, tools: ExecutedTools): void {
  if (json.isArray()) tools.isListed = true
  eachObject(json, readExecutedTool, tools)
}

function readExecutedTool(json: JsonCursor, tools: ExecutedTools): void {
  const tool: ExecutedTool = { type: null, name: null, index: null, arguments: null }
  EXECUTED_TOOL.read(json, tool)
  const kind = tool.name ?? tool.type ?? 'tool'
  const uses = usesOf(tools, kind)
  if (uses.size >= MAX_USES) return
  uses.add(
    uses === tools.others
      ? kind.slice(0, MAX_KEY_CHARACTERS)
      : (tool.index ?? tool.arguments ?? '').slice(0, MAX_KEY_CHARACTERS),
  )
}

function usesOf({ searches, visits, others }: ExecutedTools, kind: string): Set<string> {
  if (kind === 'browser.search' || kind === 'browser_search') return searches
  return kind === 'browser.open' ? visits : others
}

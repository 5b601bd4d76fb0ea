// Billed blocks: what the content of a message of Anthropic's shows of hosted tools: code that ran, and searches of the web.

import { recordOf } from '../../core/json-values.ts'
import type { JsonCursor } from '../json/cursor.ts'
import { ObjectReader } from '../json/object-reader.ts'

/** Each search counts once, by the id of its call. */
export interface BilledBlocks {
  ranCode: boolean
  /** Calls of the search. */
  readonly calls: Set<string>
  /** Searches that found something or nothing. */
  readonly results: Set<string>
  /** Searches with an error, which are free. */
  readonly failures: Set<string>
}

export function newBilledBlocks(): BilledBlocks {
  return { ranCode: false, calls: new Set(), results: new Set(), failures: new Set() }
}

/** Searches beyond this number are not counted. */
const MAX_SEARCHES = 10_000
const MAX_ID_CHARACTERS = 128

/**
 * How many searches the blocks show.
 * @param isCounted true if the usage counts searches: a call without a result is then counted by the answer that has its result
 */
export function searchesIn({ calls, results, failures }: BilledBlocks, isCounted: boolean): number {
  if (isCounted) return results.size
  return [...new Set([...calls, ...results])].filter((id) => !failures.has(id)).length
}

interface Block {
  type: string | null
  name: string | null
  id: string | null
  toolUseId: string | null
  resultType: string | null
}

const BLOCK = new ObjectReader<Block>({
  type(json, block) {
    block.type = json.stringOrNull()
  },
  name(json, block) {
    block.name = json.stringOrNull()
  },
  id(json, block) {
    block.id = json.stringOrNull()
  },
  tool_use_id(json, block) {
    block.toolUseId = json.stringOrNull()
  },
  content(json, block) {
    RESULT.readIfObject(json, block)
  },
})

const RESULT = new ObjectReader<Block>({
  type(json, block) {
    block.resultType = json.stringOrNull()
  },
})

export function readAnswerBlock(json: JsonCursor, blocks: BilledBlocks): void {
  const block: Block = { type: null, name: null, id: null, toolUseId: null, resultType: null }
  BLOCK.read(json, block)
  addBlock(block, blocks)
}

/** @param value the block as `content_block_start` has it */
export function addParsedBlock(value: unknown, blocks: BilledBlocks): void {
  const { type, name, id, tool_use_id, content } = recordOf(value)
  const resultType = textOf(recordOf(content).type)
  addBlock(
    { type: textOf(type), name: textOf(name), id: textOf(id), toolUseId: textOf(tool_use_id), resultType },
    blocks,
  )
}

function addBlock({ type, name, id, toolUseId, resultType }: Block, blocks: BilledBlocks): void {
  if (type === 'server_tool_use' && name !== null) {
    if (name === 'web_search') addSearch(blocks.calls, id)
    // `code_execution`, `bash_code_execution`, `text_editor_code_execution`.
    if (name.endsWith('code_execution')) blocks.ranCode = true
  }
  if (type === 'web_search_tool_result')
    addSearch(resultType === 'web_search_tool_result_error' ? blocks.failures : blocks.results, toolUseId)
}

function addSearch(searches: Set<string>, id: string | null): void {
  if (searches.size < MAX_SEARCHES) searches.add((id ?? `#${searches.size}`).slice(0, MAX_ID_CHARACTERS))
}

function textOf(value: unknown): string | null {
  return typeof value === 'string' ? value : null
}

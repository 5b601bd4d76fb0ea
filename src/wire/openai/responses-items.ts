// What a response of OpenAI's is billed for by the piece: searches, containers, runs of code, and images.

import type { JsonCursor } from '../json/cursor.ts'
import { ObjectReader } from '../json/object-reader.ts'

/** The gigabytes of the memory sizes that containers are billed by. The first is the default, the last the most expensive. */
const GIGABYTES: ReadonlyMap<string, number> = new Map([
  ['1g', 1],
  ['4g', 4],
  ['16g', 16],
  ['64g', 64],
])
export const DEFAULT_GIGABYTES = 1
const MAX_GIGABYTES = 64
/** Items of one kind beyond this number are not counted. */
const MAX_ITEMS = 10_000
const MAX_ID_CHARACTERS = 128

/** What is billed by the piece. Each piece counts once, however often a stream repeats it. */
export interface BilledItems {
  readonly webSearches: Set<string>
  readonly fileSearches: Set<string>
  readonly containers: Set<string>
  /** xAI bills these in place of containers. */
  readonly codeRuns: Set<string>
  readonly images: Set<string>
}

export function newBilledItems(): BilledItems {
  return {
    webSearches: new Set(),
    fileSearches: new Set(),
    containers: new Set(),
    codeRuns: new Set(),
    images: new Set(),
  }
}

function addItem(items: Set<string>, id: string): void {
  if (items.size < MAX_ITEMS) items.add(id.slice(0, MAX_ID_CHARACTERS))
}

interface OutputItem {
  type: string | null
  id: string | null
  action: string | null
  container: string | null
}

const OUTPUT_ITEM = new ObjectReader<OutputItem>({
  type(json, item) {
    item.type = json.stringOrNull()
  },
  id(json, item) {
    item.id = json.stringOrNull()
  },
  action(json, item) {
    ACTION.readIfObject(json, item)
  },
  container_id: readContainerId,
  environment(json, item) {
    ENVIRONMENT.readIfObject(json, item)
  },
})

const ACTION = new ObjectReader<OutputItem>({
  type(json, item) {
    item.action = json.stringOrNull()
  },
})

const ENVIRONMENT = new ObjectReader<OutputItem>({ container_id: readContainerId })

function readContainerId(json: JsonCursor, item: OutputItem): void {
  item.container = json.stringOrNull()
}

/**
 * Searches are billed by the call; opening a page that was found, or looking in it, is not. Containers are billed each by
 * itself, and not for what runs in them.
 * @param index stands in for an id
 */
export function readOutputItem(json: JsonCursor, items: BilledItems, index: string): void {
  const item: OutputItem = { type: null, id: null, action: null, container: null }
  OUTPUT_ITEM.read(json, item)
  const { type, action, container } = item
  const id = item.id || index
  if (type === 'web_search_call' && action !== 'open_page' && action !== 'find_in_page') addItem(items.webSearches, id)
  if (type === 'file_search_call') addItem(items.fileSearches, id)
  if (type === 'image_generation_call') addItem(items.images, id)
  if (type === 'code_interpreter_call') {
    addItem(items.codeRuns, id)
    addItem(items.containers, container ?? '')
  }
  if (type === 'shell_call' && container !== null) addItem(items.containers, container)
}

/** An unknown memory size counts as the most expensive one. */
export function gigabytesOf(memory: string | null): number {
  return memory === null ? DEFAULT_GIGABYTES : (GIGABYTES.get(memory) ?? MAX_GIGABYTES)
}

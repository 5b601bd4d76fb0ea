// The tools of a Responses request: which of them the caller runs, and which the provider runs and bills.

import type { JsonCursor } from '../json/cursor.ts'
import { eachObject, ObjectReader } from '../json/object-reader.ts'
import { markHostedTool, type RequestDraft } from '../request-reader.ts'

/** Tools that the caller describes and runs. */
const CALLER_TOOLS = new Set(['function', 'custom', 'namespace'])
/** Tools that the caller runs and the provider describes, in words that the body does not show. */
const PROVIDER_DESCRIBED_TOOLS = new Set(['local_shell', 'apply_patch'])
/** More than any such description: a whole call with apply_patch was seen to take 642 input tokens. */
const TOOL_DESCRIPTION_TOKENS = 4_096

interface Tool {
  type: string | null
  execution: string | null
  environment: string | null
  /** The memory of the container that the tool runs in. */
  memory: string | null
}

const TOOL = new ObjectReader<Tool, RequestDraft>({
  type(json, tool) {
    tool.type = json.stringOrNull()
  },
  tools(json, _tool, draft) {
    eachObject(json, readTool, draft)
  },
  execution(json, tool) {
    tool.execution = json.stringOrNull()
  },
  environment(json, tool) {
    ENVIRONMENT.readIfObject(json, tool)
  },
  container(json, tool) {
    CONTAINER.readIfObject(json, tool)
  },
})

const ENVIRONMENT = new ObjectReader<Tool>({
  type(json, tool) {
    tool.environment = json.stringOrNull()
  },
  memory_limit: readMemory,
})

const CONTAINER = new ObjectReader<Tool>({
  type(json) {
    json.skipValue()
  },
  memory_limit: readMemory,
})

function readMemory(json: JsonCursor, tool: Tool): void {
  tool.memory = json.stringOrNull() ?? tool.memory
}

/** The provider runs every tool that the caller does not run, as often as the model likes. */
export function readTool(json: JsonCursor, draft: RequestDraft): void {
  const tool: Tool = { type: null, execution: null, environment: null, memory: null }
  draft.tools = true
  TOOL.read(json, tool, draft)
  const { type, memory } = tool
  if (type === null || CALLER_TOOLS.has(type)) return
  if (isRunByCaller(tool)) {
    draft.addedTokens += TOOL_DESCRIPTION_TOKENS
    return
  }
  markHostedTool(draft, type)
  if (memory !== null) markHostedTool(draft, `container_${memory}`)
}

/** Whether the caller runs a tool that the provider describes. */
function isRunByCaller({ type, execution, environment }: Tool): boolean {
  if (type === 'shell') return environment === 'local'
  if (type === 'tool_search') return execution === 'client'
  return type !== null && PROVIDER_DESCRIBED_TOOLS.has(type)
}

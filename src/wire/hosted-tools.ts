// Hosted tools: leaves the tools that the provider runs out of a request, as byte edits. Everything else stays as it came.

import { type ByteRange, END_OF_OBJECT, JsonCursor } from './json/cursor.ts'
import { applySplices, type Splice } from './json/edit.ts'
import { Fields } from './json/fields.ts'
import { ObjectReader } from './json/object-reader.ts'
import { newDraft, type RequestDraft, shortName } from './request-reader.ts'

/** Where the requests of a dialect have hosted tools. */
export interface HostedToolFields {
  /** Fields of the body, each of which is a hosted tool. */
  readonly fields: readonly string[]
  /** The names of the field that lists tools. */
  readonly lists: readonly string[]
  /** Fields that choose among the tools. They mean nothing without tools. */
  readonly choices: readonly string[]
  /** Reads the tool that the cursor stands at, and marks the tool if the provider runs it. */
  readonly readTool: (json: JsonCursor, draft: RequestDraft) => void
  /** The fields of a tool that hold what the caller runs, if the same tool can hold what the provider runs. */
  readonly functions?: readonly string[]
}

/** A body without its hosted tools. */
export interface StrippedBody {
  readonly body: Buffer
  /** What was left out: tools by their types, and fields. */
  readonly dropped: readonly string[]
}

/**
 * The body without its hosted tools, and without a choice of one of them. Tools inside of other tools stay.
 * @param body as the dialect has read it without a Problem
 * @example
 * withoutHostedTools(Buffer.from('{"model":"gpt-6-sol","tools":[{"type":"web_search"}]}'), fields)
 * // { body: '{"model":"gpt-6-sol"}', dropped: ['web_search'] }
 */
export function withoutHostedTools(body: Buffer, hosted: HostedToolFields): StrippedBody {
  const json = new JsonCursor(body)
  const removal: Removal = { dropped: new Set(), words: new Set(), splices: [], hasTools: false }
  const members = membersOf(json, [...hosted.fields, ...hosted.lists, ...hosted.choices], (name) => {
    if (hosted.lists.includes(name)) return readTools(json, hosted, removal)
    const isDropped = hosted.fields.includes(name) && !json.isNull()
    if (isDropped) removal.dropped.add(name)
    json.skipValue()
    return isDropped
  })
  for (const member of members)
    if (hosted.choices.includes(member.name)) judgeChoice(json.text(member.value), member, removal)
  const splices = [...removal.splices, ...splicesOf(members)]
  return { body: applySplices(body, splices), dropped: [...removal.dropped] }
}

/** What is removed of a body. */
interface Removal {
  readonly dropped: Set<string>
  /** The types and names of tools that are left out: a choice may say either. */
  readonly words: Set<string>
  readonly splices: Splice[]
  /** True if some tool stays. */
  hasTools: boolean
}

/** A member of an object, or an element of an array, with the comma in front of it. */
interface Item extends ByteRange {
  isDropped: boolean
}

interface Member extends Item {
  /** Empty if the name is not among those that were looked for. */
  readonly name: string
  readonly value: ByteRange
}

/** The members of the object at the cursor. @param read consumes the value of a named member. True drops the member */
function membersOf(json: JsonCursor, names: readonly string[], read: (name: string) => boolean): Member[] {
  const fields = new Fields(...names)
  const members: Member[] = []
  json.enterObject()
  let start = json.position
  for (let field = json.nextField(fields); field !== END_OF_OBJECT; field = json.nextField(fields)) {
    const name = names[field] ?? ''
    const valueStart = json.position
    if (name === '') json.skipValue()
    const isDropped = name !== '' && read(name)
    const end = json.position
    members.push({ name, start, end, value: { start: valueStart, end }, isDropped })
    start = end
  }
  return members
}

/** Reads a list of tools, or one tool. True if none of them stays. */
function readTools(json: JsonCursor, hosted: HostedToolFields, removal: Removal): boolean {
  if (!json.isArray()) {
    const isDropped = readTool(json, hosted, removal)
    removal.hasTools ||= !isDropped
    return isDropped
  }
  const items: Item[] = []
  json.enterArray()
  let start = json.position
  while (json.nextElement()) {
    const isDropped = readTool(json, hosted, removal)
    items.push({ start, end: json.position, isDropped })
    start = json.position
  }
  const hasTools = items.some(({ isDropped }) => !isDropped)
  removal.hasTools ||= hasTools
  if (hasTools) removal.splices.push(...splicesOf(items))
  return !hasTools && items.length > 0
}

/** Reads one tool. True if nothing of the tool stays. */
function readTool(json: JsonCursor, hosted: HostedToolFields, removal: Removal): boolean {
  const { position: start } = json
  if (!json.isObject()) {
    json.skipValue()
    return false
  }
  const draft = newDraft(0)
  hosted.readTool(json, draft)
  const marks = draft.hostedTools
  if (marks.length === 0) return false
  const tool = new JsonCursor(json.bytesAt({ start, end: json.position }))
  const { functions } = hosted
  if (functions) {
    addAll(removal.dropped, marks)
    if (draft.tools) removal.splices.push(...splicesAround(functions, tool, start))
    return !draft.tools
  }
  const { type, name } = readLabels(tool)
  // A tool inside of this one is hosted, and this one is not.
  if (!marks.includes(type)) return false
  addAll(removal.dropped, marks)
  addAll(removal.words, [type, name])
  return true
}

/** Leaves only the functions of a tool. @param start of the tool in the body */
function splicesAround(functions: readonly string[], tool: JsonCursor, start: number): Splice[] {
  const members = membersOf(tool, functions, () => {
    tool.skipValue()
    return false
  })
  for (const member of members) member.isDropped = member.name === ''
  return splicesOf(members).map((splice) => ({ ...splice, start: splice.start + start, end: splice.end + start }))
}

interface Labels {
  type: string
  name: string
}

const LABELS = ObjectReader.exact<Labels>({
  type(json, labels) {
    labels.type = shortName(json.stringOrNull() ?? '')
  },
  name(json, labels) {
    labels.name = json.stringOrNull() ?? ''
  },
})

function readLabels(tool: JsonCursor): Labels {
  const labels: Labels = { type: '', name: '' }
  LABELS.read(tool, labels)
  return labels
}

/** A choice goes if no tool stays, and if the choice is of a tool that goes. A mere preference is no loss worth telling. */
function judgeChoice(choice: string, member: Member, { dropped, words, hasTools }: Removal): void {
  member.isDropped = !hasTools || stringsIn(JSON.parse(choice)).some((text) => words.has(text))
  if (member.isDropped && FORCED_CHOICE.test(choice)) dropped.add(member.name)
}

/** A choice that makes the model use a tool, or some of them alone. */
const FORCED_CHOICE = /^\{|^"(?:required|any)"/

function stringsIn(value: unknown): string[] {
  if (typeof value === 'string') return [value]
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(stringsIn) : []
}

function addAll(set: Set<string>, values: readonly string[]): void {
  for (const value of values) if (value !== '') set.add(value)
}

/** Takes items out, each with one comma. */
function splicesOf(items: readonly Item[]): Splice[] {
  const firstKept = items.findIndex(({ isDropped }) => !isDropped)
  const [first, last] = [items[0], items.at(-1)]
  if (!first || !last) return []
  if (firstKept < 0) return [{ start: first.start, end: last.end, text: '' }]
  const splices: Splice[] = []
  const kept = items[firstKept]
  // The comma in front of the first item that stays goes too.
  if (firstKept > 0 && kept) splices.push({ start: first.start, end: kept.start + 1, text: '' })
  for (const { start, end, isDropped } of items.slice(firstKept)) if (isDropped) splices.push({ start, end, text: '' })
  return splices
}

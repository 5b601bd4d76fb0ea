// Gemini's own fields: found under either spelling, kept beside what is said in neutral words, and put back as they were.

import type { Extras, JsonObject } from '../../core/chat.ts'
import { isRecord, recordOf } from '../../core/json-values.ts'
import { Problem } from '../../core/problem.ts'

export const DIALECT = 'gemini.generateContent'

/** A request that is none of this dialect. */
export function invalid(field: string, message: string): Problem {
  return new Problem('invalid_request', `${field} ${message}`, field)
}

/** The known fields of an object, and those of the objects in them. Null: whatever it holds is no field. */
interface FieldTree {
  readonly [name: string]: FieldTree | null
}

const BLOB: FieldTree = { mimeType: null, data: null, displayName: null }
const FILE: FieldTree = { mimeType: null, fileUri: null, displayName: null }
const MEDIA: FieldTree = { inlineData: BLOB, fileData: FILE }
const PART: FieldTree = {
  ...MEDIA,
  text: null,
  thought: null,
  thoughtSignature: null,
  functionCall: { id: null, name: null, args: null, partialArgs: null, willContinue: null },
  functionResponse: { id: null, name: null, response: null, parts: MEDIA, scheduling: null, willContinue: null },
  executableCode: null,
  codeExecutionResult: null,
  toolCall: null,
  toolResponse: null,
  videoMetadata: null,
  mediaResolution: null,
  mediaProcessing: null,
  partMetadata: null,
  speechMetadata: null,
}
const CONTENT: FieldTree = { role: null, parts: PART }
const DECLARATION: FieldTree = {
  name: null,
  description: null,
  parameters: null,
  parametersJsonSchema: null,
  response: null,
  responseJsonSchema: null,
  behavior: null,
}
const CONFIG: FieldTree = {
  candidateCount: null,
  stopSequences: null,
  maxOutputTokens: null,
  temperature: null,
  topP: null,
  topK: null,
  seed: null,
  presencePenalty: null,
  frequencyPenalty: null,
  responseMimeType: null,
  responseSchema: null,
  responseJsonSchema: null,
  responseModalities: null,
  responseLogprobs: null,
  logprobs: null,
  mediaResolution: null,
  speechConfig: null,
  imageConfig: null,
  audioTimestamp: null,
  enableEnhancedCivicAnswers: null,
  routingConfig: null,
  modelSelectionConfig: null,
  thinkingConfig: { includeThoughts: null, thinkingBudget: null, thinkingLevel: null },
}

/** Of a request body. */
const BODY: FieldTree = {
  contents: CONTENT,
  systemInstruction: CONTENT,
  generationConfig: CONFIG,
  tools: { functionDeclarations: DECLARATION },
  toolConfig: {
    functionCallingConfig: { mode: null, allowedFunctionNames: null, streamFunctionCallArguments: null },
    retrievalConfig: null,
    includeServerSideToolInvocations: null,
  },
  safetySettings: null,
  cachedContent: null,
  serviceTier: null,
  labels: null,
  store: null,
  model: null,
}

const toCamelCase = (name: string) => name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase())

/** A body with its known fields in camelCase, and the paths of those that were in snake_case. */
export function convertToCamelCase(body: JsonObject): { readonly body: JsonObject; readonly spelt: readonly string[] } {
  const spelt: string[] = []
  return { body: recordOf(camelCaseFields(body, BODY, '', spelt)), spelt }
}

function camelCaseFields(value: unknown, shape: FieldTree, path: string, spelt: string[]): unknown {
  if (Array.isArray(value)) return value.map((one, at) => camelCaseFields(one, shape, `${path}${at}.`, spelt))
  if (!isRecord(value)) return value
  const fields = new Map<string, unknown>()
  for (const [key, inside] of Object.entries(value)) {
    const name = Object.hasOwn(shape, key) ? key : toCamelCase(key)
    const inner = Object.hasOwn(shape, name) ? shape[name] : undefined
    const known = inner === undefined ? key : name
    if (fields.has(known)) throw invalid(known, 'must not come twice')
    if (known !== key) spelt.push(path + key)
    fields.set(known, inner ? camelCaseFields(inside, inner, `${path}${known}.`, spelt) : inside)
  }
  return Object.fromEntries(fields)
}

/** A body with these fields in snake_case again: those of them that are there. */
export function restoreSnakeCase(body: JsonObject, spelt: readonly string[]): JsonObject {
  return spelt.length === 0
    ? body
    : recordOf(snakeCaseFields(body, '', new Set(spelt), new Set(spelt.flatMap(parentPaths))))
}

/** `a.`, `a.0.` of `a.0.b_c`. */
function parentPaths(path: string): string[] {
  const names = path.split('.')
  return names.slice(0, -1).map((_, at) => `${names.slice(0, at + 1).join('.')}.`)
}

function snakeCaseFields(
  value: unknown,
  path: string,
  spelt: ReadonlySet<string>,
  inside: ReadonlySet<string>,
): unknown {
  if (path !== '' && !inside.has(path)) return value
  if (Array.isArray(value)) return value.map((one, at) => snakeCaseFields(one, `${path}${at}.`, spelt, inside))
  if (!isRecord(value)) return value
  return Object.fromEntries(
    Object.entries(value).map(([name, one]) => {
      const snake = name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
      return [spelt.has(path + snake) ? snake : name, snakeCaseFields(one, `${path}${name}.`, spelt, inside)]
    }),
  )
}

/** Fields that only say how well, not what: another dialect may leave them out. All others that nobody knows are needs. */
const HINTS: ReadonlySet<string> = new Set([
  'safetySettings',
  'serviceTier',
  'labels',
  'store',
  'generationConfig.mediaResolution',
  'generationConfig.audioTimestamp',
  'generationConfig.enableEnhancedCivicAnswers',
  'generationConfig.routingConfig',
  'generationConfig.modelSelectionConfig',
  'toolConfig.retrievalConfig',
  'toolConfig.includeServerSideToolInvocations',
  'videoMetadata',
  'mediaResolution',
  'mediaProcessing',
  'partMetadata',
  'speechMetadata',
  'functionResponse.scheduling',
  'response',
  'responseJsonSchema',
  'behavior',
])

/** True for a field that asks for nothing. */
export function isEmpty(value: unknown): boolean {
  if (value === null || value === undefined || value === false || value === '') return true
  return typeof value === 'object' && Object.keys(value).length === 0
}

/** What of an object is not said in neutral words, gathered while it is read. */
export class ExtrasDraft {
  readonly #hints = new Map<string, unknown>()
  readonly #needs = new Map<string, unknown>()
  readonly #marks = new Map<string, unknown>()

  /** Keeps what is not among the fields said in neutral words, and nulls. @param prefix `generationConfig.` */
  keepRest(object: JsonObject, said: readonly string[], prefix = ''): void {
    for (const [name, value] of Object.entries(object)) {
      if (value !== null && said.includes(name)) continue
      const kept = isEmpty(value) || HINTS.has(prefix + name) ? this.#hints : this.#needs
      kept.set(prefix + name, value)
    }
  }

  hint(name: string, value: unknown): void {
    this.#hints.set(name, value)
  }

  need(name: string, value: unknown): void {
    this.#needs.set(name, value)
  }

  /** For the writer of this dialect alone. @param value null: the field was not there */
  mark(name: string, value: unknown): void {
    this.#marks.set(name, value)
  }

  /** The field `own`; no field where there is nothing to keep. */
  toField(): { readonly extras?: Extras } {
    if (this.#hints.size + this.#needs.size + this.#marks.size === 0) return {}
    return {
      extras: {
        dialect: DIALECT,
        ...(this.#hints.size > 0 ? { hints: Object.fromEntries(this.#hints) } : {}),
        ...(this.#needs.size > 0 ? { needs: Object.fromEntries(this.#needs) } : {}),
        ...(this.#marks.size > 0 ? { marks: Object.fromEntries(this.#marks) } : {}),
      },
    }
  }
}

/** Marks that say where an object stood, not what was in it. */
export const SEPARATE_MARK = 'apart'
export const INSIDE_RESULT_MARK = 'inside'
export const SNAKE_CASE_MARK = 'spelt'
/** How many parts each of the contents had that are one message. */
export const CONTENT_SIZES_MARK = 'sizes'
/** Empty texts, each with its place among the parts of its message. */
export const EMPTY_TEXTS_MARK = 'empties'
const POSITION_MARKS: ReadonlySet<string> = new Set([
  SEPARATE_MARK,
  INSIDE_RESULT_MARK,
  SNAKE_CASE_MARK,
  CONTENT_SIZES_MARK,
  EMPTY_TEXTS_MARK,
])

/** What this dialect's reader marked so; an empty list where it did not. */
export function markedList(extras: Extras | undefined, name: string): readonly unknown[] {
  const value = extras?.dialect === DIALECT ? extras.marks?.[name] : undefined
  return Array.isArray(value) ? value : []
}

export function isMarked(extras: Extras | undefined, name: string): boolean {
  return extras?.dialect === DIALECT && extras.marks?.[name] === true
}

const GROUPS: ReadonlySet<string> = new Set([
  'generationConfig',
  'toolConfig',
  'inlineData',
  'fileData',
  'functionCall',
  'functionResponse',
])

/** An object with what was kept of it by this dialect: `inlineData.displayName` goes into its `inlineData`. */
export function restoreExtras(object: JsonObject, extras: Extras | undefined): JsonObject {
  if (extras?.dialect !== DIALECT) return object
  const fields = new Map(Object.entries(object))
  const put = (key: string, change: (fields: Map<string, unknown>, name: string) => void) => {
    const dot = key.indexOf('.')
    const group = key.slice(0, Math.max(dot, 0))
    if (!GROUPS.has(group)) return change(fields, key)
    const inside = new Map(Object.entries(recordOf(fields.get(group))))
    change(inside, key.slice(dot + 1))
    fields.set(group, Object.fromEntries(inside))
  }
  for (const [key, value] of Object.entries({ ...extras.hints, ...extras.needs })) {
    put(key, (into, name) => {
      if (!into.has(name)) into.set(name, value)
    })
  }
  for (const [key, value] of Object.entries(extras.marks ?? {})) {
    if (POSITION_MARKS.has(key)) continue
    put(key, (into, name) => (value === null ? into.delete(name) : into.set(name, value)))
  }
  return Object.fromEntries(fields)
}

// Gemini dialect fields: converts snake_case names to camelCase and back, and keeps and restores the fields that only this
// dialect has.

import type { Extras, JsonObject } from '../../core/chat.ts'
import { isRecord, recordOf } from '../../core/json-values.ts'
import { invalidField } from '../../wire/json/errors.ts'
import type { ExtrasPolicy } from '../dialect-fields.ts'

export const DIALECT = 'gemini.generateContent'

/** The known fields of an object and of the objects inside it. Null: the names inside the value are the caller's own. */
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

/** The known fields of a request body. */
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

/** The body with its known fields in camelCase, and the paths of the fields that were in snake_case. */
export function convertToCamelCase(body: JsonObject): {
  readonly body: JsonObject
  readonly snakeCasePaths: readonly string[]
} {
  const snakeCasePaths: string[] = []
  return { body: recordOf(camelCaseFields(body, BODY, '', snakeCasePaths)), snakeCasePaths }
}

function camelCaseFields(value: unknown, shape: FieldTree, path: string, snakeCasePaths: string[]): unknown {
  if (Array.isArray(value))
    return value.map((element, index) => camelCaseFields(element, shape, `${path}${index}.`, snakeCasePaths))
  if (!isRecord(value)) return value
  const fields = new Map<string, unknown>()
  for (const [key, inside] of Object.entries(value)) {
    const name = Object.hasOwn(shape, key) ? key : toCamelCase(key)
    const subtree = Object.hasOwn(shape, name) ? shape[name] : undefined
    const outputName = subtree === undefined ? key : name
    if (fields.has(outputName))
      throw invalidField(outputName, 'is duplicated, in camelCase and in snake_case. Send it once')
    if (outputName !== key) snakeCasePaths.push(path + key)
    fields.set(outputName, subtree ? camelCaseFields(inside, subtree, `${path}${outputName}.`, snakeCasePaths) : inside)
  }
  return Object.fromEntries(fields)
}

/** The body with the fields of these paths in snake_case again. Paths that the body lacks are ignored. */
export function restoreSnakeCase(body: JsonObject, snakeCasePaths: readonly string[]): JsonObject {
  return snakeCasePaths.length === 0
    ? body
    : recordOf(snakeCaseFields(body, '', new Set(snakeCasePaths), new Set(snakeCasePaths.flatMap(parentPaths))))
}

/** `a.` and `a.0.` for `a.0.b_c`. */
function parentPaths(path: string): string[] {
  const names = path.split('.')
  return names.slice(0, -1).map((_, index) => `${names.slice(0, index + 1).join('.')}.`)
}

function snakeCaseFields(
  value: unknown,
  path: string,
  snakeCasePaths: ReadonlySet<string>,
  parents: ReadonlySet<string>,
): unknown {
  if (path !== '' && !parents.has(path)) return value
  if (Array.isArray(value))
    return value.map((element, index) => snakeCaseFields(element, `${path}${index}.`, snakeCasePaths, parents))
  if (!isRecord(value)) return value
  return Object.fromEntries(
    Object.entries(value).map(([name, element]) => {
      const snake = name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
      return [
        snakeCasePaths.has(path + snake) ? snake : name,
        snakeCaseFields(element, `${path}${name}.`, snakeCasePaths, parents),
      ]
    }),
  )
}

/** Fields that another dialect may leave out. All other unknown fields are needs. */
export const GEMINI_HINTS: ReadonlySet<string> = new Set([
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

/** True for a value that requests nothing, as if the field were absent. Zero requests something. */
export function isEmpty(value: unknown): boolean {
  if (value === null || value === undefined || value === false || value === '') return true
  return typeof value === 'object' && Object.keys(value).length === 0
}

/** How Gemini's translator keeps the fields that only this dialect has. */
export const GEMINI_EXTRAS: ExtrasPolicy = { dialect: DIALECT, isEmpty, keepsNulls: true }

/** Marks that tell where an object was. Their values are no fields of it. */
export const SEPARATE_MARK = 'separate'
export const INSIDE_RESULT_MARK = 'inside'
export const SNAKE_CASE_MARK = 'snakeCase'
/** How many parts each content had, if several contents became one message. */
export const CONTENT_SIZES_MARK = 'sizes'
/** Pairs of an empty text and its index among the parts of its message. */
export const EMPTY_TEXTS_MARK = 'emptyTexts'
const POSITION_MARKS: ReadonlySet<string> = new Set([
  SEPARATE_MARK,
  INSIDE_RESULT_MARK,
  SNAKE_CASE_MARK,
  CONTENT_SIZES_MARK,
  EMPTY_TEXTS_MARK,
])

/** The list that this dialect's reader kept under a mark; empty if there is none. */
export function markedList(extras: Extras | undefined, name: string): readonly unknown[] {
  const value = extras?.dialect === DIALECT ? extras.marks?.[name] : undefined
  return Array.isArray(value) ? value : []
}

export function isMarked(extras: Extras | undefined, name: string): boolean {
  return extras?.dialect === DIALECT && extras.marks?.[name] === true
}

/** Objects into which extras with a dot in their name go back. */
const GROUPS: ReadonlySet<string> = new Set([
  'generationConfig',
  'toolConfig',
  'inlineData',
  'fileData',
  'functionCall',
  'functionResponse',
])

/** The object with the extras that this dialect's reader kept: `inlineData.displayName` goes into its `inlineData`. */
export function restoreExtras(object: JsonObject, extras: Extras | undefined): JsonObject {
  if (extras?.dialect !== DIALECT) return object
  const fields = new Map(Object.entries(object))
  const change = (key: string, apply: (target: Map<string, unknown>, name: string) => void) => {
    const dot = key.indexOf('.')
    const group = key.slice(0, Math.max(dot, 0))
    if (!GROUPS.has(group)) return apply(fields, key)
    const groupFields = new Map(Object.entries(recordOf(fields.get(group))))
    apply(groupFields, key.slice(dot + 1))
    fields.set(group, Object.fromEntries(groupFields))
  }
  for (const [key, value] of Object.entries({ ...extras.hints, ...extras.needs })) {
    change(key, (target, name) => {
      if (!target.has(name)) target.set(name, value)
    })
  }
  for (const [key, value] of Object.entries(extras.marks ?? {})) {
    if (POSITION_MARKS.has(key)) continue
    change(key, (target, name) => (value === null ? target.delete(name) : target.set(name, value)))
  }
  return Object.fromEntries(fields)
}

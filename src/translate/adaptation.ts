// Adaptation: puts the values of a request into the form that a target of another dialect accepts, by the table of the target. It
// refuses, naming the place, what has no such form. A request whose target speaks the caller's dialect never comes here.

import type {
  ChatMessage,
  ChatRequest,
  Effort,
  JsonObject,
  OutputFormat,
  Part,
  TextPart,
  ToolDefinition,
} from '../core/chat.ts'
import { recordOf } from '../core/json-values.ts'
import { adaptMessages } from './adapted-messages.ts'
import { type AnswerChanges, WRAPPED_PROPERTY } from './answer-restoration.ts'
import { isSameJson } from './dialect-fields.ts'
import { nearestEffort } from './efforts.ts'
import { placedLike } from './places.ts'
import { sentNamesOf, withArgumentNames, withPropertyNames } from './property-names.ts'
import { hasRecursion, withDefinitions, withoutRootReference } from './schema-references.ts'
import { type AdaptedSchema, adaptSchema, joined, mergeAllOf } from './schemas.ts'
import type { TargetRules } from './target-rules.ts'
import { ToolNames } from './tool-names.ts'
import { type ChatRequestField, unsupported } from './translator.ts'

type SchemaFormat = Extract<OutputFormat, { readonly kind: 'schema' }>

/** A request in the form that the target accepts. */
export interface AdaptedRequest {
  readonly request: ChatRequest
  /** What was adapted. */
  readonly adapted: ReadonlySet<ChatRequestField>
  /** The hints that were left out: fields, or tools of the caller's provider by their names. */
  readonly dropped: ReadonlySet<string>
  /** What has to be undone in the answer; undefined if it is nothing. */
  readonly changes: AnswerChanges | undefined
}

/** Throws Problem `unsupported` or `invalid_request`, naming the place, for what no form of this target can hold. */
export function adaptRequest(request: ChatRequest, rules: TargetRules, model: string): AdaptedRequest {
  return new RequestAdapter(request, rules, model).adapt()
}

class RequestAdapter {
  readonly #request: ChatRequest
  readonly #rules: TargetRules
  readonly #model: string
  readonly #adapted = new Set<ChatRequestField>()
  readonly #dropped = new Set<ChatRequestField>()
  readonly #droppedTools = new Set<string>()
  /** By the sent name of the tool, the sent names of its arguments by the caller's. */
  readonly #argumentNames = new Map<string, ReadonlyMap<string, string>>()
  #strictTools = 0
  #isWrapped = false

  constructor(request: ChatRequest, rules: TargetRules, model: string) {
    this.#request = request
    this.#rules = rules
    this.#model = model
  }

  adapt(): AdaptedRequest {
    const names = new ToolNames(this.#request, this.#rules.toolName)
    const { tools, ...others } = this.#request
    const { messages, toolChoice, format, reasoning } = others
    if (names.callerNames.size > 0) this.#adapted.add('toolName')
    const notes = { adapted: this.#adapted, dropped: this.#dropped }
    const named = messages.map((message) => renamed(message, names))
    const adaptedTools = this.#neededTools(tools)?.map((tool) =>
      tool.kind === 'function' ? this.#adaptTool(tool, names) : tool,
    )
    const spoken = adaptMessages(named, this.#rules, this.#model, notes).map((message) => this.#adaptArguments(message))
    const hinted = this.#limitCacheHints(adaptedTools, spoken)
    return {
      request: {
        ...others,
        ...hinted,
        ...(toolChoice?.kind === 'tools' && {
          toolChoice: { ...toolChoice, names: toolChoice.names.map((name) => names.sentName(name)) },
        }),
        ...(format && { format: this.#adaptFormat(format) }),
        ...(reasoning?.effort && { reasoning: { ...reasoning, effort: this.#adaptEffort(reasoning.effort) } }),
      },
      adapted: this.#adapted,
      dropped: new Set([...this.#dropped, ...this.#droppedTools]),
      changes: this.#changesWith(names.callerNames),
    }
  }

  #changesWith(toolNames: ReadonlyMap<string, string>): AnswerChanges | undefined {
    const isChanged = toolNames.size > 0 || this.#argumentNames.size > 0 || this.#isWrapped
    if (!isChanged) return undefined
    const argumentNames = new Map(
      [...this.#argumentNames].map(([tool, sent]) => [tool, new Map([...sent].map(([own, name]) => [name, own]))]),
    )
    return { toolNames, argumentNames, isWrapped: this.#isWrapped }
  }

  /** Gives the arguments of calls in the conversation the names that the schemas of their tools have at the target. */
  #adaptArguments(message: ChatMessage): ChatMessage {
    if (this.#argumentNames.size === 0) return message
    const parts = message.parts.map((part) => {
      const names = part.kind === 'toolCall' ? this.#argumentNames.get(part.name) : undefined
      if (part.kind !== 'toolCall' || !names) return part
      return placedLike({ ...part, arguments: withArgumentNames(part.arguments, names) }, part)
    })
    return placedLike({ ...message, parts }, message)
  }

  /** The schema with names of properties that the target accepts. Notes the names by the tool. */
  #withLegalProperties(schema: JsonObject, tool: string): JsonObject {
    const { propertyName } = this.#rules
    const names = propertyName && sentNamesOf(schema, propertyName)
    if (!names || names.size === 0) return schema
    this.#argumentNames.set(tool, names)
    this.#adapted.add('toolSchema')
    return withPropertyNames(schema, names)
  }

  /** Without the tools of the caller's provider that are hints. */
  #neededTools(tools: ChatRequest['tools']): ChatRequest['tools'] {
    const needed = tools?.filter((tool) => {
      const isHint = tool.kind === 'dialect' && tool.isHint === true
      if (isHint) this.#droppedTools.add(tool.name)
      return !isHint
    })
    return needed?.length === 0 && this.#droppedTools.size > 0 ? undefined : needed
  }

  #adaptTool(tool: ToolDefinition, names: ToolNames): ToolDefinition {
    const { strict, ...rest } = { ...tool, name: names.sentName(tool.name) }
    const strictForm = strict ? this.#strictForm(tool) : undefined
    if (strict && !strictForm && this.#rules.strictToolSchema) this.#dropped.add('strict')
    const form = strictForm ?? adaptSchema(tool.schema ?? {}, this.#rules.toolSchema)
    const isGiven = tool.schema !== undefined
    if (isGiven && form.isChanged) this.#adapted.add('toolSchema')
    const description = form.rootWords === '' ? tool.description : joined(tool.description, form.rootWords)
    const keepsStrict = strict !== undefined && (!strict || strictForm || !this.#rules.strictToolSchema)
    return placedLike(
      {
        ...rest,
        ...(isGiven && { schema: this.#withLegalProperties(form.schema, rest.name) }),
        ...(description !== undefined && { description }),
        ...(keepsStrict && { strict }),
      },
      tool,
    )
  }

  /** Undefined if the tool cannot be strict at the target. */
  #strictForm(tool: ToolDefinition): AdaptedSchema | undefined {
    const { strictToolSchema, maxStrictTools = Number.POSITIVE_INFINITY } = this.#rules
    if (!strictToolSchema || this.#strictTools >= maxStrictTools) return undefined
    const form = adaptSchema(tool.schema ?? { type: 'object', properties: {} }, strictToolSchema)
    if (!form.fits || form.rootWords !== '') return undefined
    this.#strictTools++
    return form
  }

  #adaptFormat(format: OutputFormat): OutputFormat {
    if (format.kind === 'json') return format
    const { outputSchema } = this.#rules
    const defined = withDefinitions(format.schema)
    if (outputSchema.refusesRecursion && hasRecursion(defined))
      throw unsupported('format', 'The target model does not support schemas that refer to themselves.')
    const named = withoutRootReference(defined)
    const root = Array.isArray(named.allOf) ? mergeAllOf(named, defined) : named
    this.#isWrapped = outputSchema.root === 'plainObject' && !isPlainObject(root)
    const original = this.#isWrapped ? wrapped(withDefinitions(root, true)) : root
    const strictForm = this.#strictFormat(format, original)
    const form = strictForm ?? adaptSchema(original, outputSchema)
    if (!isSameJson(form.schema, format.schema)) this.#adapted.add('format')
    const description = joined(form.schema.description, form.rootWords)
    const schema = description === '' ? form.schema : { ...form.schema, description }
    const strict = strictForm ? true : format.strict && this.#rules.strictOutputSchema ? false : format.strict
    return { ...format, schema, ...(strict !== undefined && { strict }) }
  }

  /**
   * Undefined if the schema is not to be enforced, or cannot be. Other dialects enforce every schema, so their formats say nothing
   * of it; a schema that this target does not enforce is then an adapted one.
   */
  #strictFormat(format: SchemaFormat, original: JsonObject): AdaptedSchema | undefined {
    const { strictOutputSchema, hasStrictFormat } = this.#rules
    if (!strictOutputSchema || format.strict === false) return undefined
    const canBeStrict = format.strict === true || hasStrictFormat?.(this.#model) === true
    const form = canBeStrict && !isOpenObject(original) ? adaptSchema(original, strictOutputSchema) : undefined
    if (form?.fits) return form
    if (format.strict) this.#dropped.add('strict')
    else this.#adapted.add('format')
    return undefined
  }

  #adaptEffort(effort: Effort): Effort {
    const nearest = nearestEffort(effort, this.#rules.effortsOf(this.#model) ?? [effort])
    if (nearest !== effort) this.#adapted.add('effort')
    return nearest
  }

  /** Keeps the first hint, which lasts longest, and the last ones. */
  #limitCacheHints(
    tools: ChatRequest['tools'],
    messages: readonly ChatMessage[],
  ): Pick<ChatRequest, 'tools' | 'messages'> {
    const { maxCacheHints = Number.POSITIVE_INFINITY } = this.#rules
    const max = maxCacheHints - (this.#request.cache ? 1 : 0)
    const hinted = [
      ...(tools ?? []),
      ...messages.filter(({ role }) => role === 'system').flatMap(({ parts }) => parts),
      ...messages.filter(({ role }) => role !== 'system').flatMap(({ parts }) => parts),
    ].filter((value) => 'cache' in value)
    if (hinted.length <= max) return { ...(tools && { tools }), messages }
    this.#dropped.add('cache')
    const surplus = new Set<object>(hinted.slice(1, hinted.length - max + 1))
    return {
      ...(tools && { tools: tools.map((tool) => (surplus.has(tool) ? uncached(tool) : tool)) }),
      messages: messages.map((message) => ({
        ...message,
        parts: message.parts.map((part) => (surplus.has(part) ? uncached(part) : part)),
      })),
    }
  }
}

function uncached<Value extends object>(value: Value): Value {
  const copy: Value & { cache?: unknown } = { ...value }
  delete copy.cache
  return placedLike(copy, value)
}

function renamed(message: ChatMessage, names: ToolNames): ChatMessage {
  if (names.callerNames.size === 0) return message
  return placedLike({ ...message, parts: message.parts.map((part) => renamedPart(part, names)) }, message)
}

function renamedPart(part: Part, names: ToolNames): Part {
  if (part.kind === 'toolCall') return placedLike({ ...part, name: names.sentName(part.name) }, part)
  if (part.kind !== 'toolResult') return part
  const parts = part.parts.map((inner) => (inner.kind === 'text' ? renamedText(inner, names) : inner))
  return placedLike({ ...part, name: names.sentName(part.name), parts }, part)
}

function renamedText(part: TextPart, names: ToolNames): TextPart {
  const { namedTool, text } = part
  if (!namedTool) return part
  return placedLike({ ...part, text: text.replace(namedTool, () => names.sentName(namedTool)) }, part)
}

/** Whether a schema is one of an object, or of an object with conditions beside its properties. */
function isPlainObject(schema: JsonObject): boolean {
  if (schema.type !== 'object') return schema.type === undefined && schema.properties !== undefined
  return schema.properties !== undefined || !['anyOf', 'oneOf', 'allOf', 'enum'].some((keyword) => keyword in schema)
}

/** Whether a schema is one of any object: closed, the object would have to be empty. */
function isOpenObject({ properties, additionalProperties }: JsonObject): boolean {
  return Object.keys(recordOf(properties)).length === 0 && additionalProperties !== false
}

/** The schema of an object whose only property has this schema. Definitions stay at the root, where references find them. */
function wrapped({ $defs, definitions, $schema: _, ...schema }: JsonObject): JsonObject {
  return {
    type: 'object',
    properties: { [WRAPPED_PROPERTY]: schema },
    required: [WRAPPED_PROPERTY],
    additionalProperties: false,
    ...($defs === undefined ? {} : { $defs }),
    ...(definitions === undefined ? {} : { definitions }),
  }
}

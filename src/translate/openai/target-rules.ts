// OpenAI target rules: what OpenAI's Chat Completions accept in the values of a request. Compatible servers accept as much or more.
//
// Sources, read 2026-11-30:
// - tool names: `openai` 7.57.0, FunctionDefinition.name: "Must be a-z, A-Z, 0-9, or contain underscores and dashes, with a maximum
//   length of 64".
// - tool schemas: the API's own errors, as reported: "schema must have type 'object' and not have 'oneOf'/'anyOf'/'allOf'/'enum'/'not'
//   at the top level", "object schema missing properties", "array schema missing items".
// - strict schemas: developers.openai.com/api/docs/guides/structured-outputs, and `openai` 7.57.0, lib/transform.js.
//   The sizes: "up to 5000 object properties total, with up to 10 levels of nesting"; 1,000 values of enums; 120,000 characters.
// - media: developers.openai.com/api/docs/guides/images-vision (PNG, JPEG, WEBP, GIF) and /pdf-files, and ChatCompletionContentPart: `input_audio`
//   is `wav` or `mp3`.
// - efforts: developers.openai.com/api/docs/models and the API's errors: "Unsupported value: 'minimal' is not supported with the
//   'gpt-5.1' model. Supported values are: 'none', 'low', 'medium', and 'high'."; openai/codex#7449 and anomalyco/opencode#36141 for
//   `xhigh` and `max`.

import type { Effort } from '../../core/chat.ts'
import type { SchemaRules, TargetRules } from '../target-rules.ts'

const STRICT_SCHEMA: SchemaRules = {
  keywords: new Set([
    ...['type', 'enum', 'const', 'anyOf', '$ref', '$defs', 'definitions', 'title', 'description'],
    ...['properties', 'required', 'additionalProperties', 'items', 'minItems', 'maxItems', 'format', 'pattern'],
    ...['multipleOf', 'minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum'],
  ]),
  // The engine of patterns has no lookaround and no references back.
  refusedPattern: /\(\?(?:[=!]|<[=!])|\\[1-9]|\\k</,
  size: { maxLevels: 10, maxProperties: 5_000, maxEnumValues: 1_000, maxCharacters: 120_000 },
  formats: new Set(['date-time', 'time', 'date', 'duration', 'email', 'hostname', 'ipv4', 'ipv6', 'uuid']),
  root: 'plainObject',
  closesObjects: true,
  requiresAllProperties: true,
  needsType: true,
  listsProperties: true,
  needsItems: true,
}

/** OpenAI's models with structured outputs. Other servers may refuse a strict format. */
const STRICT_MODELS = /^(?:openai\/)?(?:gpt-(?:4o|4\.[15]|[5-9]|\d\d|oss)|o\d|codex|computer-use)/

/** Levels of effort by the name of the model, the first pattern that matches. */
export const OPENAI_EFFORTS: readonly (readonly [RegExp, readonly Effort[]])[] = [
  [/^o\d/, ['low', 'medium', 'high']],
  [/^gpt-5-pro/, ['high']],
  [/^gpt-5-codex|^codex-mini|^gpt-5\.1-codex(?!-max)/, ['low', 'medium', 'high']],
  [/^gpt-5(?:-mini|-nano|-chat.*)?(?:-\d{4}|$)/, ['minimal', 'low', 'medium', 'high']],
  [/^gpt-5\.1-codex-max|^gpt-5\.[2-5]-codex/, ['low', 'medium', 'high', 'xhigh']],
  [/^gpt-5\.1/, ['none', 'low', 'medium', 'high']],
  [/^gpt-5\.[2-5]-pro/, ['medium', 'high', 'xhigh']],
  [/^gpt-5\.[2-5]/, ['none', 'low', 'medium', 'high', 'xhigh']],
  [/^gpt-(?:5\.|[6-9]|\d\d)/, ['none', 'low', 'medium', 'high', 'xhigh', 'max']],
  [/^gpt-oss/, ['low', 'medium', 'high']],
]
/** What a model is taken for whose name is not known: many servers accept these levels and no higher ones. */
const COMMON_EFFORTS: readonly Effort[] = ['none', 'minimal', 'low', 'medium', 'high']
/** Routers lower the level themselves if the model does not have it. */
const ROUTER_EFFORTS: readonly Effort[] = [...COMMON_EFFORTS, 'xhigh']

export const OPENAI_RULES: TargetRules = {
  toolName: { maxCharacters: 64, illegalCharacter: /[^a-zA-Z0-9_-]/g },
  toolSchema: { root: 'plainObject', listsProperties: true, needsItems: true },
  strictToolSchema: STRICT_SCHEMA,
  outputSchema: { root: 'plainObject', needsItems: true },
  strictOutputSchema: STRICT_SCHEMA,
  hasStrictFormat: (model) => STRICT_MODELS.test(model),
  media: {
    accepted: [
      ...['image/png', 'image/jpeg', 'image/gif', 'image/webp', 'application/pdf', 'audio/wav', 'audio/mp3'],
      // A file of another type: the server tells which it reads.
      ...['application/msword', 'application/vnd.'],
    ],
    // The models of routers hear more.
    acceptedBy: (model) => (model.includes('/') ? ['audio/'] : []),
    summary: 'PNG, JPEG, GIF and WebP images, PDFs, and sound as WAV or MP3',
    urls: /^https?:\/\//i,
  },
  refusedTexts: 'none',
  parsesArguments: false,
  effortsOf: (model) => {
    const found = OPENAI_EFFORTS.find(([pattern]) => pattern.test(model))
    return found?.[1] ?? (model.includes('/') ? ROUTER_EFFORTS : COMMON_EFFORTS)
  },
}

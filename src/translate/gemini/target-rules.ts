// Gemini target rules: what Gemini's generateContent accepts in the values of a request.
//
// Sources, read 2026-11-30:
// - tool names: `@google/genai` 3.1.0, FunctionDeclaration.name: "Must start with a letter or an underscore. Must be a-z, A-Z, 0-9, or
//   contain underscores, dots, colons and dashes, with a maximum length of 128". Older models are documented with 64.
// - schemas: `@google/genai` 3.1.0, GenerateContentConfig.responseJsonSchema, whose keywords these are.
// - `required` of undeclared properties: the API's error, as reported: "required[0]: property is not defined".
// - media: ai.google.dev/gemini-api/docs/image-understanding, /audio, /video-understanding and /document-processing.
// - levels of thinking: ai.google.dev/gemini-api/docs/thinking; ThinkingLevel of `@google/genai` 3.1.0.

import type { SchemaRules, TargetRules } from '../target-rules.ts'
import { thinkingStyleOf } from './thinking.ts'

const JSON_SCHEMA: SchemaRules = {
  keywords: new Set([
    ...['$id', '$defs', '$ref', '$anchor', 'type', 'format', 'title', 'description', 'enum', 'items', 'prefixItems'],
    ...['minItems', 'maxItems', 'minimum', 'maximum', 'anyOf', 'oneOf', 'properties', 'additionalProperties'],
    ...['required', 'propertyOrdering'],
  ]),
  root: 'any',
  requiresDeclaredProperties: true,
}

export const GEMINI_RULES: TargetRules = {
  toolName: { maxCharacters: 64, illegalCharacter: /[^a-zA-Z0-9_.:-]/g, legalStart: /^[a-zA-Z_]/ },
  toolSchema: { ...JSON_SCHEMA, root: 'plainObject' },
  outputSchema: JSON_SCHEMA,
  media: {
    accepted: [
      ...['image/png', 'image/jpeg', 'image/webp', 'image/heic', 'image/heif', 'application/pdf'],
      ...['text/', 'audio/', 'video/'],
    ],
    summary: 'PNG, JPEG, WebP, HEIC and HEIF images, PDFs, text, sound and video',
    urls: /^(?:https?:\/\/|gs:)/i,
  },
  refusedTexts: 'empty',
  needsUserMessage: true,
  parsesArguments: true,
  effortsOf: (model) => {
    if (thinkingStyleOf(model) !== 'level') return undefined
    if (/gemini-3-pro/.test(model)) return ['low', 'high']
    return model.includes('-pro') ? ['low', 'medium', 'high'] : ['minimal', 'low', 'medium', 'high']
  },
}

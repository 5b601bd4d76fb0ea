// Anthropic target rules: what Anthropic's Messages accept in the values of a request.
//
// Sources, read 2026-11-30:
// - tool names: platform.claude.com/docs/en/agents-and-tools/tool-use/implement-tool-use: `^[a-zA-Z0-9_-]{1,64}$`. The API is
//   reported to accept 128 characters; the documented maximum is safe.
// - tool schemas: the API's own error, as reported in anthropics/claude-code#27337: "input_schema does not support oneOf, allOf, or
//   anyOf at the top level"; JSON Schema 2020-12 (`@anthropic-ai/sdk` 1.12.0, Tool.input_schema).
// - names of parameters: platform.claude.com/docs/en/managed-agents/self-hosted-sandboxes: the API rejects "property names outside
//   letters, digits, underscores, dots, and hyphens (1–64 characters)".
// - structured outputs and strict tools: platform.claude.com/docs/en/build-with-claude/structured-outputs, and
//   `@anthropic-ai/sdk` 1.12.0, lib/transform-json-schema.js, whose keywords and formats these are. At most 20 strict tools.
// - media: `@anthropic-ai/sdk` 1.12.0, Base64ImageSource.media_type and DocumentBlockParam.source.
// - blank texts: the API's errors, as reported: "text content blocks must contain non-whitespace text", "final assistant content
//   cannot end with trailing whitespace".
// - cache marks: platform.claude.com/docs/en/build-with-claude/prompt-caching: at most 4.

import type { SchemaRules, TargetRules } from '../target-rules.ts'
import { effortsOf } from './models.ts'

const CLOSED_SCHEMA: SchemaRules = {
  keywords: new Set([
    ...['type', 'enum', 'const', 'anyOf', 'allOf', '$ref', '$defs', 'title', 'description'],
    ...['properties', 'required', 'additionalProperties', 'items', 'minItems', 'format'],
  ]),
  formats: new Set([...['date-time', 'time', 'date', 'duration', 'email', 'hostname', 'uri', 'ipv4', 'ipv6', 'uuid']]),
  maxMinItems: 1,
  root: 'plainObject',
  closesObjects: true,
  needsType: true,
  refusesRecursion: true,
}

export const ANTHROPIC_RULES: TargetRules = {
  toolName: { maxCharacters: 64, illegalCharacter: /[^a-zA-Z0-9_-]/g },
  propertyName: { maxCharacters: 64, illegalCharacter: /[^a-zA-Z0-9_.-]/g },
  toolSchema: { root: 'plainObject' },
  strictToolSchema: CLOSED_SCHEMA,
  maxStrictTools: 20,
  outputSchema: CLOSED_SCHEMA,
  media: {
    accepted: ['image/jpeg', 'image/png', 'image/gif', 'image/webp', 'application/pdf', 'text/'],
    summary: 'JPEG, PNG, GIF and WebP images, PDFs and text',
    urls: /^https?:\/\//i,
  },
  refusedTexts: 'blank',
  refusesTrailingSpace: true,
  needsUserMessage: true,
  parsesArguments: true,
  maxCacheHints: 4,
  effortsOf,
}

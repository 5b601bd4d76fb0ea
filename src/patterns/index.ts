// Patterns: all there are.

import { METACOGNITION } from './metacognition.ts'
import type { Pattern } from './pattern.ts'
import { PLANNING } from './planning.ts'
import { RAG } from './rag.ts'
import { REFLECTION } from './reflection.ts'
import { TOOL_USE } from './tool-use.ts'

export const PATTERNS: readonly Pattern[] = [REFLECTION, PLANNING, TOOL_USE, RAG, METACOGNITION]

// Patterns: all of them. A new pattern is one file and one entry here.

import { METACOGNITION } from './metacognition.ts'
import type { Pattern } from './pattern/pattern.ts'
import { PLANNING } from './planning/planning.ts'
import { RAG } from './rag/rag.ts'
import { REFLECTION } from './reflection.ts'
import { TOOL_USE } from './tool-use/tool-use.ts'

export const PATTERNS: readonly Pattern[] = [REFLECTION, PLANNING, TOOL_USE, RAG, METACOGNITION]

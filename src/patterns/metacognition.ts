// Metacognition: answers with a confidence, reviews the answer for gaps, and then gives it, checks it, returns a question or declines.

import { z } from 'zod'
import type { JsonObject } from '../core/chat.ts'
import { definePattern, fence, type Trail, textMessage, truncate } from './pattern/pattern.ts'

/** An answer with a lower confidence is checked before it is given. */
const CONFIDENT_FROM = 0.7
/** An answer with a lower confidence after its check is not given. */
const DECLINE_BELOW = 0.3
const MAX_GAPS = 20
const MAX_ANSWER_CHARACTERS = 20_000

const fields = { problem: z.string().min(1).max(50_000).describe('The problem to solve.') }

const confidence = z
  .number()
  .describe('How likely the answer is right, from 0 (a guess) to 1 (certain).')
  .transform((value) => Math.min(Math.max(value, 0), 1))

const solutionShape = z.object({
  reasoning: z.string().describe('A summary of the reasoning, in a few sentences.'),
  answer: z.string().describe('The answer.'),
  confidence,
})

const reviewShape = z.object({
  gaps: z
    .array(z.string())
    .describe('What is not known, assumed without a reason, or may be wrong. Empty where there is nothing.')
    .transform((gaps) => gaps.slice(0, MAX_GAPS)),
  choice: z
    .enum(['answer', 'check', 'ask', 'decline'])
    .describe(
      'answer: it holds. check: go a second way. ask: only the asker can fill a gap. decline: no answer is possible.',
    ),
  question: z.string().describe('What to ask back; empty unless that is the choice.'),
  why: z.string().describe('Why this choice, in one sentence.'),
  confidence,
})

const comparisonShape = z.object({
  agree: z.boolean().describe('Whether both answers say the same.'),
  answer: z.string().describe('The answer that holds after both.'),
  why: z.string().describe('What decides, in one sentence.'),
  confidence,
})

const SOLVE_PROMPT =
  'Solve the problem. Give a short summary of your reasoning, the answer, and an honest confidence: of answers given with 0.7, seven of ten are right.'
const REVIEW_PROMPT =
  'You review an answer to a problem. Find its gaps: missing facts, hidden assumptions, steps that do not follow. Then choose what to do.'
const SECOND_WAY_PROMPT =
  'Solve the problem in another way than the obvious one: backwards, by cases, by an estimate, by an example.'
const COMPARE_PROMPT =
  'Two answers to one problem were found in different ways. Compare them, decide which holds, and how sure that is. Confidence falls where they differ and nothing decides.'

type Solution = z.output<typeof solutionShape>
type Review = z.output<typeof reviewShape>

export const METACOGNITION = definePattern({
  name: 'metacognition',
  description: 'Answers with a confidence, looks for gaps, and chooses to answer, to check, to ask back or to decline.',
  fields,
  defaultMaxSteps: 8,
  execute: async ({ problem }, trail) => {
    const task = fence('problem', [problem]).join('')
    const first = await trail.callModelAs('answer', modelRequest(SOLVE_PROMPT, task), solutionShape)
    trail.partialResult = resultOf(first, undefined, { decision: 'answer' })
    const review = await trail.callModelAs(
      'review',
      modelRequest(REVIEW_PROMPT, task, solutionText('answer', first)),
      reviewShape,
    )
    const lowerConfidence = Math.min(first.confidence, review.confidence)
    const reviewed = { ...first, confidence: lowerConfidence }
    trail.partialResult = resultOf(reviewed, review, { decision: 'answer' })
    if (review.choice === 'ask' && review.question.trim() !== '')
      return resultOf(reviewed, review, { decision: 'ask', question: review.question })
    if (review.choice === 'decline') return resultOf(reviewed, review, { decision: 'decline', answer: null })
    if (review.choice === 'answer' && lowerConfidence >= CONFIDENT_FROM) return trail.partialResult
    return await checkSolution(task, reviewed, review, trail)
  },
})

/** Solves the problem a second way, without the first solution, and compares the two. */
async function checkSolution(task: string, first: Solution, review: Review, trail: Trail): Promise<JsonObject> {
  const second = await trail.callModelAs('check', modelRequest(SECOND_WAY_PROMPT, task), solutionShape)
  const both = [solutionText('answer', first), solutionText('second-answer', second)]
  const compared = await trail.callModelAs('compare', modelRequest(COMPARE_PROMPT, task, ...both), comparisonShape)
  const { agree, why, confidence } = compared
  const checked = { agrees: agree, answer: second.answer, reasoning: second.reasoning, why }
  const held = { ...first, answer: compared.answer.trim() || first.answer, confidence }
  const decision =
    confidence < DECLINE_BELOW ? { decision: 'decline', answer: null, checked } : { decision: 'answer', checked }
  return resultOf(held, review, decision)
}

function modelRequest(system: string, ...texts: readonly string[]) {
  return { system, messages: [textMessage('user', texts.join('\n\n'))] }
}

function solutionText(name: string, { answer, reasoning, confidence }: Solution): string {
  const text = `${truncate(answer, MAX_ANSWER_CHARACTERS)}\nReasoning: ${truncate(reasoning, MAX_ANSWER_CHARACTERS)}\nConfidence: ${confidence}`
  return fence(name, [text]).join('')
}

function resultOf(
  { answer, reasoning, confidence }: Solution,
  review: Review | undefined,
  decision: JsonObject,
): JsonObject {
  return {
    answer,
    confidence,
    reasoning,
    gaps: review?.gaps ?? [],
    why: review?.why ?? null,
    question: null,
    ...decision,
  }
}

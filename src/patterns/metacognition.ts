// Metacognition: an answer with a confidence, a look at its gaps, and a choice: answer, ask back, check another way, decline.

import { z } from 'zod'
import type { JsonObject } from '../core/chat.ts'
import { cut, fenced, patternOf, type Trail, told } from './pattern/pattern.ts'

/** An answer less sure than this is checked before it is given. */
const SURE = 0.7
/** And one less sure than this after its check is not given. */
const TOO_UNSURE = 0.3
const MOST_GAPS = 20
const MOST_ANSWER_CHARACTERS = 20_000

const fields = { problem: z.string().min(1).max(50_000).describe('What is to be answered.') }

const confidence = z
  .number()
  .describe('How likely the answer is right, from 0 (a guess) to 1 (certain).')
  .transform((value) => Math.min(Math.max(value, 0), 1))

const firstShape = z.object({
  reasoning: z.string().describe('A summary of the reasoning, in a few sentences.'),
  answer: z.string().describe('The answer.'),
  confidence,
})

const reviewShape = z.object({
  gaps: z
    .array(z.string())
    .describe('What is not known, assumed without a reason, or may be wrong. Empty where there is nothing.')
    .transform((gaps) => gaps.slice(0, MOST_GAPS)),
  choice: z
    .enum(['answer', 'check', 'ask', 'decline'])
    .describe(
      'answer: it holds. check: go a second way. ask: only the asker can fill a gap. decline: no answer is possible.',
    ),
  question: z.string().describe('What to ask back; empty unless that is the choice.'),
  why: z.string().describe('Why this choice, in one sentence.'),
  confidence,
})

const comparedShape = z.object({
  agree: z.boolean().describe('Whether both answers say the same.'),
  answer: z.string().describe('The answer that holds after both.'),
  why: z.string().describe('What decides, in one sentence.'),
  confidence,
})

const FIRST =
  'Solve the problem. Give a short summary of your reasoning, the answer, and an honest confidence: of answers given with 0.7, seven of ten are right.'
const REVIEWS =
  'You review an answer to a problem. Find its gaps: missing facts, hidden assumptions, steps that do not follow. Then choose what to do.'
const SECOND =
  'Solve the problem in another way than the obvious one: backwards, by cases, by an estimate, by an example.'
const COMPARES =
  'Two answers to one problem were found in different ways. Compare them, decide which holds, and how sure that is. Confidence falls where they differ and nothing decides.'

type First = z.output<typeof firstShape>
type Review = z.output<typeof reviewShape>

export const METACOGNITION = patternOf({
  name: 'metacognition',
  about: 'Answers with a confidence, looks for gaps, and chooses to answer, to check, to ask back or to decline.',
  fields,
  usualSteps: 8,
  follow: async ({ problem }, trail) => {
    const task = fenced('problem', [problem]).join('')
    const first = await trail.askFor('answer', asking(FIRST, task), firstShape)
    trail.found = resultOf(first, undefined, { decision: 'answer' })
    const review = await trail.askFor('review', asking(REVIEWS, task, solved('answer', first)), reviewShape)
    const sure = Math.min(first.confidence, review.confidence)
    const judged = { ...first, confidence: sure }
    trail.found = resultOf(judged, review, { decision: 'answer' })
    if (review.choice === 'ask' && review.question.trim() !== '')
      return resultOf(judged, review, { decision: 'ask', question: review.question })
    if (review.choice === 'decline') return resultOf(judged, review, { decision: 'decline', answer: null })
    if (review.choice === 'answer' && sure >= SURE) return trail.found
    return await check(task, judged, review, trail)
  },
})

/** Goes a second way, without a look at the first, and holds the two against each other. */
async function check(task: string, first: First, review: Review, trail: Trail): Promise<JsonObject> {
  const second = await trail.askFor('check', asking(SECOND, task), firstShape)
  const both = [solved('answer', first), solved('second-answer', second)]
  const compared = await trail.askFor('compare', asking(COMPARES, task, ...both), comparedShape)
  const { agree, why, confidence } = compared
  const checked = { agrees: agree, answer: second.answer, reasoning: second.reasoning, why }
  const held = { ...first, answer: compared.answer.trim() || first.answer, confidence }
  const decision =
    confidence < TOO_UNSURE ? { decision: 'decline', answer: null, checked } : { decision: 'answer', checked }
  return resultOf(held, review, decision)
}

function asking(system: string, ...words: readonly string[]) {
  return { system, messages: [told('user', words.join('\n\n'))] }
}

function solved(name: string, { answer, reasoning, confidence }: First): string {
  const text = `${cut(answer, MOST_ANSWER_CHARACTERS)}\nReasoning: ${cut(reasoning, MOST_ANSWER_CHARACTERS)}\nConfidence: ${confidence}`
  return fenced(name, [text]).join('')
}

function resultOf(
  { answer, reasoning, confidence }: First,
  review: Review | undefined,
  decided: JsonObject,
): JsonObject {
  return {
    answer,
    confidence,
    reasoning,
    gaps: review?.gaps ?? [],
    why: review?.why ?? null,
    question: null,
    ...decided,
  }
}

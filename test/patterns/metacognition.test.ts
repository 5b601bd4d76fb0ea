// Metacognition: confidence, gaps, and every choice.

import { describe, expect, it } from 'vitest'
import { METACOGNITION } from '../../src/patterns/metacognition.ts'
import { endings, lastText, outcomeOf, runWithEachBudget, type Script, scriptedRun } from './runs.ts'

const BODY = { problem: 'How far is it?' }
const FIRST = { reasoning: 'I know maps.', answer: '10 km', confidence: 0.9 }
const REVIEW = { gaps: ['which road'], choice: 'answer', question: '', why: 'it holds', confidence: 0.8 }
const SECOND = { reasoning: 'I walked.', answer: '11 km', confidence: 0.6 }
const COMPARED = { agree: true, answer: '10.5 km', why: 'both are near', confidence: 0.85 }

const script =
  (review: object = {}, first: object = {}, compared: object = {}): Script =>
  (_request, step) =>
    ({
      answer: { ...FIRST, ...first },
      review: { ...REVIEW, ...review },
      check: SECOND,
      compare: { ...COMPARED, ...compared },
    })[step] ?? ''

const run = async (script: Script, options = {}) => {
  const scripted = scriptedRun(script, options)
  return { outcome: await outcomeOf(METACOGNITION, BODY, scripted), requests: scripted.requests }
}

describe('metacognition', () => {
  it('answers at once with a high confidence', async () => {
    const { outcome, requests } = await run(script())
    expect(requests.map(({ step }) => step)).toEqual(['answer', 'review'])
    expect(outcome.result).toEqual({
      decision: 'answer',
      answer: '10 km',
      confidence: 0.8,
      reasoning: 'I know maps.',
      gaps: ['which road'],
      why: 'it holds',
      question: null,
    })
  })

  it('asks back if only the caller can know', async () => {
    const { outcome } = await run(script({ choice: 'ask', question: 'By which road?' }))
    expect(outcome.result).toMatchObject({ decision: 'ask', question: 'By which road?' })
  })

  it('declines', async () => {
    const { outcome } = await run(script({ choice: 'decline', confidence: 0.1 }))
    expect(outcome.result).toMatchObject({ decision: 'decline', answer: null, confidence: 0.1 })
  })

  it.each([
    ['it chooses to', script({ choice: 'check' })],
    ['its first confidence is low', script({}, { confidence: 0.5 })],
    ['its review is not sure', script({ confidence: 0.5 })],
    ['it asks back without a question', script({ choice: 'ask', question: ' ' })],
  ])('solves a second way if %s', async (_case, script) => {
    const { outcome, requests } = await run(script)
    expect(requests.map(({ step }) => step)).toEqual(['answer', 'review', 'check', 'compare'])
    expect(lastText(requests[2]?.request)).not.toContain('10 km')
    expect(lastText(requests[3]?.request)).toMatch(/10 km[\s\S]*11 km/)
    expect(outcome.result).toMatchObject({
      decision: 'answer',
      answer: '10.5 km',
      confidence: 0.85,
      checked: { agrees: true, answer: '11 km', why: 'both are near' },
    })
  })

  it('declines if the confidence is low after the second way', async () => {
    const { outcome } = await run(script({ choice: 'check' }, {}, { agree: false, confidence: 0.2 }))
    expect(outcome.result).toMatchObject({ decision: 'decline', answer: null, checked: { agrees: false } })
  })

  it('limits confidences to their range', async () => {
    const { outcome } = await run(script({ confidence: 1.7 }, { confidence: 1e300 }))
    expect(outcome.result).toMatchObject({ confidence: 1 })
  })

  it('returns its first answer, wherever the budget ends', async () => {
    const ended = await runWithEachBudget(METACOGNITION, BODY, script({ choice: 'check' }))
    expect(endings(ended)).toEqual(['thrown: budget', ...[1, 2, 3].map((asks) => `budget after ${asks}`)])
    for (const outcome of ended.slice(1))
      expect(outcome).toMatchObject({ result: { answer: '10 km', decision: 'answer' } })
  })

  it('repairs an unknown choice', async () => {
    const { outcome, requests } = await run((request, step, index) =>
      step === 'review again' ? REVIEW : script({ choice: 'guess' })(request, step, index),
    )
    expect(requests.map(({ step }) => step)).toEqual(['answer', 'review', 'review again'])
    expect(outcome.steps[1]?.failed).toContain('choice')
    expect(outcome.result).toMatchObject({ decision: 'answer' })
  })

  it('keeps the answer of a model that writes only garbage afterwards', async () => {
    const { outcome } = await run((request, step, index) => (step === 'answer' ? script()(request, step, index) : '}{'))
    expect(outcome).toMatchObject({ stopped: 'error', result: { answer: '10 km', confidence: 0.9 } })
  })
})

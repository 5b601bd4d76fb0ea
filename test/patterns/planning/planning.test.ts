// Planning: plans are checked, done in order with the results of earlier steps, and replanned once.

import { describe, expect, it } from 'vitest'
import { orderOf, type PlanStep, problemsOf } from '../../../src/patterns/planning/check.ts'
import { PLANNING } from '../../../src/patterns/planning/planning.ts'
import {
  endings,
  lastText,
  outcomeOf,
  runWithEachBudget,
  type Script,
  type ScriptedAnswer,
  scriptedRun,
} from '../runs.ts'

const BODY = { goal: 'Bake bread', constraints: ['No yeast'] }
const step = (id: string, needs: readonly string[] = [], task = `task of ${id}`): PlanStep => ({ id, task, needs })
const plan = (...steps: readonly PlanStep[]) => ({ steps })
const done = (result: string) => ({ ok: true, result, problem: '' })
const failed = (problem: string) => ({ ok: false, result: '', problem })

const THREE = plan(step('c', ['a', 'b']), step('a'), step('b', ['a']))

/** A script by the name of the step: `plan`, `do ID`, `replan`, `answer`. */
function by(script: Readonly<Record<string, ScriptedAnswer>>): Script {
  return (_request, name) =>
    script[name] ?? (name.startsWith('do ') ? done(`result of ${name.slice(3)}`) : { answer: 'bread' })
}

const run = async (script: Script, options = {}) => {
  const scripted = scriptedRun(script, options)
  return { outcome: await outcomeOf(PLANNING, BODY, scripted), requests: scripted.requests }
}

describe('planning', () => {
  it('does the steps in an order that their needs allow, and combines the results', async () => {
    const { outcome, requests } = await run(by({ plan: THREE }))
    expect(requests.map(({ step }) => step)).toEqual(['plan', 'do a', 'do b', 'do c', 'answer'])
    expect(outcome.result).toMatchObject({ answer: 'bread', complete: true, replanned: false, problems: [] })
    expect(outcome.result.plan).toMatchObject([
      { id: 'a', status: 'done', result: 'result of a' },
      { id: 'b', status: 'done' },
      { id: 'c', status: 'done' },
    ])
  })

  it('gives a step the results that it needs, and no others', async () => {
    const { requests } = await run(by({ plan: plan(step('a'), step('b'), step('c', ['b'])) }))
    const text = lastText(requests[3]?.request)
    expect(text).toContain('result of b')
    expect(text).not.toContain('result of a')
    expect(text).toContain('- No yeast')
    expect(text).toContain('Your step (c): task of c')
  })

  it('sends back a plan that cannot be followed, with its mistakes', async () => {
    const circle = plan(step('a', ['b']), step('b', ['a']))
    const { outcome, requests } = await run(by({ plan: circle, 'plan again': plan(step('a')) }))
    expect(requests.map(({ step }) => step)).toEqual(['plan', 'plan again', 'do a', 'answer'])
    expect(lastText(requests[1]?.request)).toContain('2 steps wait for each other in a circle')
    expect(outcome.result).toMatchObject({ complete: true, problems: ['2 steps wait for each other in a circle'] })
  })

  it('ends the run of a model that plans in circles twice', async () => {
    const circle = plan(step('a', ['a']))
    await expect(run(by({ plan: circle, 'plan again': circle }))).rejects.toMatchObject({
      name: 'RunStopped',
      reason: 'error',
    })
  })
})

describe('a failed step', () => {
  it('makes the model replan once, and keeps what is done', async () => {
    const script = { plan: THREE, 'do b': failed('no oven'), replan: plan(step('d', ['a'])) }
    const { outcome, requests } = await run(by(script))
    expect(requests.map(({ step }) => step)).toEqual(['plan', 'do a', 'do b', 'replan', 'do d', 'answer'])
    expect(lastText(requests[3]?.request)).toContain('Step b failed: no oven')
    expect(lastText(requests[4]?.request)).toContain('result of a')
    expect(outcome.result).toMatchObject({ answer: 'bread', complete: true, replanned: true })
    expect(outcome.result.plan).toMatchObject([
      { id: 'a', status: 'done' },
      { id: 'b', status: 'failed', result: 'no oven' },
      { id: 'c', status: 'replaced' },
      { id: 'd', status: 'done' },
    ])
  })

  it('is also a step with an empty result', async () => {
    const { outcome } = await run(by({ plan: plan(step('a')), 'do a': done(' '), replan: plan(step('b')) }))
    expect(outcome.result).toMatchObject({ replanned: true, problems: ['Step a failed: it has no result'] })
  })

  it('ends the run if it is the second, with what was done', async () => {
    const script = { plan: THREE, 'do b': failed('no oven'), replan: plan(step('d')), 'do d': failed('no pan') }
    const { outcome } = await run(by(script))
    expect(outcome).toMatchObject({ stopped: 'error', result: { answer: 'result of a', complete: false } })
    expect(outcome.stoppedBecause).toContain('no pan')
  })

  it('keeps its id, which a new plan cannot use', async () => {
    const script = { plan: THREE, 'do b': failed('no'), replan: plan(step('a')), 'replan again': plan(step('d')) }
    const { outcome } = await run(by(script))
    expect(outcome.result).toMatchObject({ complete: true })
    expect(outcome.result.problems).toContain('the id a is used twice')
  })
})

describe('a planning run that ends early', () => {
  it('returns what is done, wherever the budget ends', async () => {
    const script = { plan: THREE, 'do b': failed('no oven'), replan: plan(step('d', ['a'])) }
    const ended = await runWithEachBudget(PLANNING, BODY, by(script))
    expect(endings(ended)).toEqual(['thrown: budget', ...[1, 2, 3, 4, 5].map((asks) => `budget after ${asks}`)])
    expect(ended.map((outcome) => ('result' in outcome ? outcome.result.answer : 'none'))).toEqual([
      'none',
      null,
      'result of a',
      'result of a',
      'result of a',
      'result of d',
    ])
  })

  it('names its schemas as every provider accepts them', async () => {
    const { requests } = await run(by({ plan: plan(step('é/…'.repeat(9))) }))
    for (const { request } of requests)
      expect(request.format).toMatchObject({ name: expect.stringMatching(/^[a-zA-Z0-9_-]{1,64}$/) })
  })

  it('ends at its maximum of steps', async () => {
    const { outcome } = await run(by({ plan: THREE }), { maxSteps: 2 })
    expect(outcome).toMatchObject({ stopped: 'steps', result: { complete: false, answer: 'result of a' } })
  })

  it('survives broken JSON once, in any step', async () => {
    const { outcome, requests } = await run((request, name, index) =>
      name === 'do a' ? '{"ok": tru' : by({ plan: plan(step('a')), 'do a again': done('x') })(request, name, index),
    )
    expect(requests.map(({ step }) => step)).toEqual(['plan', 'do a', 'do a again', 'answer'])
    expect(outcome.steps[1]?.failed).toBe('it holds no JSON object')
    expect(outcome.result).toMatchObject({ complete: true })
  })
})

describe('the check of a plan', () => {
  it.each<[string, PlanStep[], string[]]>([
    ['no steps', [], ['the plan has no steps']],
    [
      'too many steps',
      Array.from({ length: 13 }, (_, index) => step(`s${index}`)),
      ['the plan has 13 steps; it can have at most 12'],
    ],
    ['an id twice', [step('a'), step('a')], ['the id a is used twice']],
    ['an id that is taken', [step('old')], ['the id old is used twice']],
    ['an unknown need', [step('a', ['z'])], ['step a needs z, which is not a step']],
    ['a result used but not needed', [step('a'), step('b', [], 'Use {a}.')], ['step b uses {a} but does not need it']],
    ['an empty id', [step(' ')], ['step number 1 has no id of 1 to 40 characters']],
    ['an endless id', [step('x'.repeat(41))], ['step number 1 has no id of 1 to 40 characters']],
    ['no task', [step('a', [], '')], ['step a has no task of 1 to 4000 characters']],
    ['a step that waits for itself', [step('a', ['a'])], ['1 steps wait for each other in a circle']],
    [
      'a circle of three',
      [step('a', ['c']), step('b', ['a']), step('c', ['b'])],
      ['3 steps wait for each other in a circle'],
    ],
    ['needs that are done', [step('b', ['old'])], []],
    ['names like those of objects', [step('__proto__'), step('constructor', ['__proto__'])], []],
  ])('reports %s', (_case, steps, problems) => {
    expect(problemsOf(steps, ['old'], ['old'])).toEqual(problems)
  })

  it('keeps the order of steps that do not need each other', () => {
    const steps = [step('d', ['b']), step('a'), step('b'), step('c')]
    expect(orderOf(steps).map(({ id }) => id)).toEqual(['a', 'b', 'd', 'c'])
  })
})

// Planning's check: tells what is wrong with a plan, and puts its steps in order. It calls no model.

/** One step of a plan. */
export interface PlanStep {
  readonly id: string
  readonly task: string
  /** Ids of the steps whose results it uses. */
  readonly needs: readonly string[]
}

const MAX_STEPS = 12
const MAX_ID_CHARACTERS = 40
const MAX_TASK_CHARACTERS = 4_000
const MAX_PROBLEMS = 10

/**
 * What is wrong with a plan, as clauses for the model; empty if it can be followed.
 * @param usedIds the ids of earlier steps
 * @param doneIds the ids of the earlier steps that have a result
 */
export function problemsOf(
  plan: readonly PlanStep[],
  usedIds: readonly string[],
  doneIds: readonly string[],
): string[] {
  if (plan.length === 0) return ['the plan has no steps']
  if (plan.length > MAX_STEPS) return [`the plan has ${plan.length} steps; it can have at most ${MAX_STEPS}`]
  const ids = new Set(plan.map(({ id }) => id))
  const problems = plan.flatMap((step, index) => [
    ...sizeProblems(step, index),
    ...(plan.findIndex(({ id }) => id === step.id) < index || usedIds.includes(step.id)
      ? [`the id ${truncateId(step.id)} is used twice`]
      : []),
    ...step.needs
      .filter((need) => !ids.has(need) && !doneIds.includes(need))
      .map((need) => `step ${truncateId(step.id)} needs ${truncateId(need)}, which is not a step`),
    ...[...ids, ...doneIds]
      .filter((id) => id !== step.id && step.task.includes(`{${id}}`) && !step.needs.includes(id))
      .map((id) => `step ${truncateId(step.id)} uses {${truncateId(id)}} but does not need it`),
  ])
  if (problems.length > 0) return problems.slice(0, MAX_PROBLEMS)
  const unordered = plan.length - orderOf(plan).length
  return unordered > 0 ? [`${unordered} steps wait for each other in a circle`] : []
}

/** The steps, each after those it needs, otherwise in their order. Steps in a circle, and steps that need them, are left out. */
export function orderOf<Step extends PlanStep>(plan: readonly Step[]): Step[] {
  const ordered: Step[] = []
  let waiting = [...plan]
  for (;;) {
    const blocked = new Set(waiting.map(({ id }) => id))
    const ready = waiting.find(({ needs }) => !needs.some((need) => blocked.has(need)))
    if (ready === undefined) return ordered
    ordered.push(ready)
    waiting = waiting.filter((step) => step !== ready)
  }
}

function sizeProblems({ id, task, needs }: PlanStep, index: number): string[] {
  if (id.trim() === '' || id.length > MAX_ID_CHARACTERS)
    return [`step number ${index + 1} has no id of 1 to ${MAX_ID_CHARACTERS} characters`]
  if (task.trim() === '' || task.length > MAX_TASK_CHARACTERS)
    return [`step ${id} has no task of 1 to ${MAX_TASK_CHARACTERS} characters`]
  return needs.length > MAX_STEPS * 2 ? [`step ${id} needs too many others`] : []
}

function truncateId(id: string): string {
  return id.slice(0, MAX_ID_CHARACTERS).toWellFormed()
}

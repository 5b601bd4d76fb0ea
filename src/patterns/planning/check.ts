// Planning's check: whether a plan can be followed, and in which order.

export interface Planned {
  readonly id: string
  readonly task: string
  /** Ids of the steps whose results it uses. */
  readonly needs: readonly string[]
}

const MOST_STEPS = 12
const MOST_ID_CHARACTERS = 40
const MOST_TASK_CHARACTERS = 4_000
const MOST_PROBLEMS = 10

/**
 * Everything wrong with a plan, for the model to read; empty where it can be followed.
 * @param taken ids that earlier steps have
 * @param done ids whose results there are already
 */
export function problemsOf(plan: readonly Planned[], taken: readonly string[], done: readonly string[]): string[] {
  if (plan.length === 0) return ['the plan has no steps']
  if (plan.length > MOST_STEPS) return [`the plan has ${plan.length} steps; ${MOST_STEPS} are the most`]
  const ids = new Set(plan.map(({ id }) => id))
  const problems = plan.flatMap((step, at) => [
    ...sizeProblems(step, at),
    ...(plan.findIndex(({ id }) => id === step.id) < at || taken.includes(step.id)
      ? [`the id ${short(step.id)} is used twice`]
      : []),
    ...step.needs
      .filter((need) => !ids.has(need) && !done.includes(need))
      .map((need) => `step ${short(step.id)} needs ${short(need)}, which is no step`),
    ...[...ids, ...done]
      .filter((id) => id !== step.id && step.task.includes(`{${id}}`) && !step.needs.includes(id))
      .map((id) => `step ${short(step.id)} uses {${short(id)}} but does not need it`),
  ])
  if (problems.length > 0) return problems.slice(0, MOST_PROBLEMS)
  const stuck = plan.length - orderOf(plan).length
  return stuck > 0 ? [`${stuck} steps wait for each other in a circle`] : []
}

/** The steps, each after those it needs, otherwise as they came. Those in a circle, or behind one, are left out. */
export function orderOf<Step extends Planned>(plan: readonly Step[]): Step[] {
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

function sizeProblems({ id, task, needs }: Planned, at: number): string[] {
  if (id.trim() === '' || id.length > MOST_ID_CHARACTERS)
    return [`step number ${at + 1} has no id of 1 to ${MOST_ID_CHARACTERS} characters`]
  if (task.trim() === '' || task.length > MOST_TASK_CHARACTERS)
    return [`step ${id} has no task of 1 to ${MOST_TASK_CHARACTERS} characters`]
  return needs.length > MOST_STEPS * 2 ? [`step ${id} needs too many others`] : []
}

function short(id: string): string {
  return id.slice(0, MOST_ID_CHARACTERS).toWellFormed()
}

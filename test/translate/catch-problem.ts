import { Problem } from '../../src/core/problem.ts'

/** The Problem that `run` throws. */
export function catchProblem(run: () => unknown): Problem {
  try {
    run()
  } catch (error) {
    if (error instanceof Problem) return error
    throw error
  }
  throw new Error('nothing was thrown')
}

// The models of the simulated provider. Each but `sim/echo` misbehaves in a way of its own.

/** One of each kind, for listings. */
export const SIMULATED_MODELS = [
  'sim/echo',
  'sim/slow',
  'sim/long-500',
  'sim/tools-2',
  'sim/no-usage',
  'sim/error-429',
  'sim/error-500',
  'sim/cut',
  'sim/no-end',
  'sim/endless',
  'sim/hang',
  'sim/unreachable',
  'sim/garbage',
  'sim/html',
] as const

const NUMBERED = /^sim\/(?:slow-\d{1,5}|long-\d{1,6}|tools-\d{1,3}|error-\d{3})$/

/** False for a name that is answered like `sim/echo`. */
export function isSimulatedModel(name: string): boolean {
  return NUMBERED.test(name) || SIMULATED_MODELS.some((model) => model === name)
}

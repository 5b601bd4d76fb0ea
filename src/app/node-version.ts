// Node version: what is said if Node is too old. It imports nothing and runs on any Node, so that it can be asked before all else.

/** The oldest Node that Bursar runs on: `engines` of package.json says the same. */
export const MIN_NODE_VERSION = '24.15'

/** One line for a Node that is too old, such as `20.20.2`. Undefined for one that will do. */
export function nodeVersionMistake(version: string): string | undefined {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  const [minMajor = 0, minMinor = 0] = MIN_NODE_VERSION.split('.').map(Number)
  if (major > minMajor || (major === minMajor && minor >= minMinor)) return undefined
  return `Bursar needs Node ${MIN_NODE_VERSION} or newer, and this is Node ${version}: install a newer one from https://nodejs.org, or put "npx node@24" in place of "node".`
}

// Node version: the message for a Node that is too old. It imports nothing and runs on any Node, because main and index import it
// before anything else.

/** The oldest Node that Bursar runs on: `engines` of package.json says the same. */
export const MIN_NODE_VERSION = '24.15'

/** One line for a version that is too old, such as `20.20.2`. Undefined if the version is new enough. */
export function nodeVersionMistake(version: string): string | undefined {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  const [minMajor = 0, minMinor = 0] = MIN_NODE_VERSION.split('.').map(Number)
  if (major > minMajor || (major === minMajor && minor >= minMinor)) return undefined
  return `Bursar needs Node ${MIN_NODE_VERSION} or newer, and this is Node ${version}: install a newer one from https://nodejs.org, or put "npx node@24" in place of "node".`
}

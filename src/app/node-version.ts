// Node version: the message for a runtime that Bursar does not run on. It imports nothing and runs anywhere, because main and index
// import it before anything else.

/** The oldest Node that Bursar runs on: `engines` of package.json says the same. */
export const MIN_NODE_VERSION = '24.15'

/** The globals by which a runtime is recognized. All of them may be absent. */
interface RuntimeGlobals {
  readonly process?: { readonly versions?: Readonly<Record<string, string | undefined>> } | undefined
  readonly navigator?: { readonly userAgent?: string } | undefined
  readonly Bun?: unknown
  readonly Deno?: unknown
  readonly EdgeRuntime?: unknown
}

/** One line for a runtime that is not Node, or a Node that is too old. Undefined if Bursar runs here. */
export function runtimeMistake(globals: RuntimeGlobals): string | undefined {
  const other = otherRuntime(globals)
  if (other === undefined) return nodeVersionMistake(globals.process?.versions?.node ?? '')
  return `Bursar needs Node ${MIN_NODE_VERSION} or newer, and this is ${other}: run it with "node" or "npx node@24". Apps in other runtimes can send their calls to a Bursar server.`
}

/** One line for a version that is too old, such as `20.20.2`. Undefined if the version is new enough. */
export function nodeVersionMistake(version: string): string | undefined {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  const [minMajor = 0, minMinor = 0] = MIN_NODE_VERSION.split('.').map(Number)
  if (major > minMajor || (major === minMajor && minor >= minMinor)) return undefined
  return `Bursar needs Node ${MIN_NODE_VERSION} or newer, and this is Node ${version}: install a newer one from https://nodejs.org, or put "npx node@24" in place of "node".`
}

/** The name of a runtime that is not Node. Most of the others give a version of Node, too: that of the interfaces they imitate. */
function otherRuntime({ process, navigator, Bun, Deno, EdgeRuntime }: RuntimeGlobals): string | undefined {
  const { versions } = process ?? {}
  if (Bun !== undefined || versions?.bun !== undefined) return named('Bun', versions?.bun)
  if (Deno !== undefined || versions?.deno !== undefined) return named('Deno', versions?.deno)
  const userAgent = navigator?.userAgent ?? ''
  if (userAgent === 'Cloudflare-Workers') return 'Cloudflare Workers'
  if (EdgeRuntime !== undefined) return 'an edge runtime'
  if (versions?.node !== undefined) return undefined
  return userAgent === '' ? 'another runtime' : `another runtime (${userAgent.slice(0, MAX_SHOWN_CHARACTERS)})`
}

const MAX_SHOWN_CHARACTERS = 100

function named(name: string, version: string | undefined): string {
  return version === undefined ? name : `${name} ${version}`
}

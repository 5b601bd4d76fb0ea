// Starts the gateway of a source tree, with the flags of that tree's own `npm start`.
// Reads package.json and runs src/main.ts; it relies on no other file of the tree.
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { KEY } from './bodies.ts'
import { folder, type Subject, start } from './measure.ts'

/** The tree this benchmark belongs to. */
export const ROOT = join(import.meta.dirname, '..')

const MAIN = 'src/main.ts'

/** Limits that no load reaches; all other settings keep their defaults, so that every feature is on. */
export const bursarEnv = (upstream: Subject, database: string) => ({
  OPENAI_API_KEY: 'sk-bench',
  OPENAI_BASE_URL: `http://127.0.0.1:${upstream.port}/v1`,
  ANTHROPIC_API_KEY: 'sk-ant-bench',
  ANTHROPIC_BASE_URL: `http://127.0.0.1:${upstream.port}`,
  GEMINI_API_KEY: 'bench',
  GEMINI_BASE_URL: `http://127.0.0.1:${upstream.port}`,
  BURSAR_KEYS: `bench:${KEY}`,
  DATABASE_URL: `sqlite:${join(folder, database)}`,
  MAX_REQUESTS_PER_MINUTE: '1000000000',
  MAX_TOKENS_PER_MINUTE: '1000000000000',
  MAX_COST_PER_REQUEST: '0.50',
  DAILY_SPENDING_LIMIT: '100000000',
})

/** The words between `node` and the script. Throws if the tree is not started by `node <flags> src/main.ts`. */
function startFlags(root: string): string[] {
  const { scripts }: { scripts?: { start?: string } } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  const [command, ...words] = scripts?.start?.split(/\s+/) ?? []
  const end = words.indexOf(MAIN)
  if (command !== 'node' || end < 0 || !existsSync(join(root, MAIN)))
    throw new Error(`${root}: npm start does not run node ${MAIN}`)
  return words.slice(0, end)
}

/** Runs on the Node that runs the benchmark. */
export async function startGateway(name: string, root: string, env: Record<string, string>): Promise<Subject> {
  return start(name, join(root, MAIN), env, { flags: startFlags(root) })
}

// Checks out an older commit of this repository into the benchmark's temporary folder, with its dependencies.
// Changes nothing in the repository: no worktree, no branch, no index.
import { execFile } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, realpathSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { ROOT } from './gateway.ts'
import { folder } from './measure.ts'

/** `title` is the commit's short hash and the first line of its message. */
export type Checkout = { root: string; title: string }

const MAX_INSTALL_MS = 600_000
const LOCK = 'package-lock.json'

const run = promisify(execFile)
const git = async (...args: string[]) => (await run('git', args, { cwd: ROOT })).stdout.trim()

/** Throws if the repository has no such commit, or if its dependencies cannot be installed. */
export async function checkOut(commit: string): Promise<Checkout> {
  const hash = await git('rev-parse', '--verify', '--quiet', '--end-of-options', `${commit}^{commit}`).catch(() => {
    throw new Error(`--against ${commit}: this repository has no such commit`)
  })
  const root = join(folder, 'against')
  const archive = join(folder, 'against.tar')
  mkdirSync(root)
  await git('archive', '--format=tar', `--output=${archive}`, hash)
  await run('tar', ['-xf', archive, '-C', root])
  if (hasSameLock(root)) symlinkSync(realpathSync(join(ROOT, 'node_modules')), join(root, 'node_modules'))
  else await install(root)
  return { root, title: await git('log', '-1', '--format=%h %s', hash) }
}

function hasSameLock(root: string): boolean {
  const [theirs, ours] = [join(root, LOCK), join(ROOT, LOCK)]
  return existsSync(theirs) && readFileSync(theirs).equals(readFileSync(ours))
}

/** No script of a package runs. The installed tree runs on this process's Node, like this tree. */
async function install(root: string): Promise<void> {
  console.log(`${LOCK} differs: installing the dependencies of the other tree`)
  try {
    await run('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund'], { cwd: root, timeout: MAX_INSTALL_MS })
  } catch (error) {
    const reason = error instanceof Error ? error.message.split('\n').slice(1, 4).join('\n') : ''
    throw new Error(
      `--against needs the npm registry: the dependencies of the commit could not be installed.\n${reason}`,
    )
  }
}

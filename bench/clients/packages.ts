// Packages: the clients, pinned, each installed into a folder of its own. Nothing is added to the project.

import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** Where a client's packages come from: npm, or PyPI. */
export interface Packages {
  readonly registry: 'npm' | 'pypi'
  /** Names with versions: `openai@7.59.0`, `openai==3.57.0`. */
  readonly names: readonly string[]
}

const INSTALL_TIMEOUT_MS = 900_000

/**
 * Installs packages into `folder`, unless an earlier run did. Returns the reason if that fails.
 * @param python a Python that the packages support
 */
export function installPackages(folder: string, { registry, names }: Packages, python: string): string | undefined {
  const done = join(folder, 'installed')
  if (existsSync(done)) return undefined
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  const run = (command: string, args: readonly string[]) =>
    execFileSync(command, args, { cwd: folder, stdio: 'pipe', timeout: INSTALL_TIMEOUT_MS })
  try {
    if (registry === 'npm') {
      writeFileSync(join(folder, 'package.json'), '{"private":true}')
      run('npm', ['install', '--no-audit', '--no-fund', ...names])
    } else {
      run(python, ['-m', 'venv', 'venv'])
      run(join(folder, 'venv/bin/python'), ['-m', 'pip', 'install', '--quiet', ...names])
    }
    writeFileSync(done, '')
    return undefined
  } catch (error) {
    const lines = (error instanceof Error ? error.message : String(error)).trim().split('\n')
    return lines.at(-1)?.slice(0, 200) ?? 'not known'
  }
}

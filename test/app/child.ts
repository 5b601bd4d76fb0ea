// Child: a gateway in a process of its own, to be killed, stopped and measured.

import { type ChildProcess, spawn } from 'node:child_process'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ADMIN_KEY } from '../support/client-and-ledger.ts'
import { waitFor } from '../support/waiting.ts'

/** Many children start from the same files. */
const CACHE_FOLDER = join(tmpdir(), 'bursar-test-compile-cache')
/** A process that is busy with hostile requests collects late. */
const MAX_COLLECTION_MS = 60_000
const ROOT = join(import.meta.dirname, '../..')

export interface Exit {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

/** A test that fails must not leave one running. */
const running = new Set<ChildProcess>()
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})

export class GatewayProcess {
  readonly #process: ChildProcess
  readonly exit: Promise<Exit>
  stdout = ''
  stderr = ''
  port = 0

  private constructor(env: Readonly<Record<string, string>>) {
    const flags = ['--expose-gc', '--import', join(ROOT, 'test/app/collect.ts'), join(ROOT, 'src/main.ts')]
    // Nothing of the tests' own environment: a .env of the developer's must not reach it either.
    this.#process = spawn(process.execPath, flags, {
      cwd: env.CWD ?? '/tmp',
      env: {
        PATH: process.env.PATH,
        NODE_COMPILE_CACHE: CACHE_FOLDER,
        PORT: '0',
        ADMIN_KEY,
        CONFIG_FILE: '/nonexistent/bursar.json',
        ...env,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    this.#process.stdout?.on('data', (chunk) => (this.stdout += chunk))
    this.#process.stderr?.on('data', (chunk) => (this.stderr += chunk))
    running.add(this.#process)
    this.exit = new Promise((resolve) =>
      this.#process.on('close', (code, signal) => {
        running.delete(this.#process)
        resolve({ code, signal })
      }),
    )
  }

  /** Starts one that is expected not to get far. */
  static run(env: Readonly<Record<string, string>>): GatewayProcess {
    return new GatewayProcess(env)
  }

  /** Resolves when it listens. */
  static async start(env: Readonly<Record<string, string>>): Promise<GatewayProcess> {
    const gateway = new GatewayProcess(env)
    const listening = new Promise<number>((resolve) => {
      gateway.#process.stdout?.on('data', () => {
        const port = /"port":(\d+),.*"listening"/.exec(gateway.stdout)?.[1]
        if (port) resolve(Number(port))
      })
    })
    const died = gateway.exit.then(({ code }) => {
      throw new Error(`exit ${code}: ${gateway.stderr}`)
    })
    gateway.port = await Promise.race([listening, died])
    died.catch(() => {})
    return gateway
  }

  get pid(): number {
    return this.#process.pid ?? 0
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`
  }

  kill(signal: NodeJS.Signals): Promise<Exit> {
    this.#process.kill(signal)
    return this.exit
  }

  /** Bytes it holds after a collection. */
  async rssBytes(): Promise<number> {
    const from = this.stderr.length
    this.#process.kill('SIGUSR2')
    return Number(await waitFor(() => /rss=(\d+)/.exec(this.stderr.slice(from))?.[1], MAX_COLLECTION_MS))
  }

  async page<Page>(path: string): Promise<Page> {
    const answer = await fetch(this.url + path, { headers: { authorization: `Bearer ${ADMIN_KEY}` } })
    return answer.json() as Promise<Page>
  }
}

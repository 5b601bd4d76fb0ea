// `npm run clients`: runs real agents, SDKs and frameworks once against each kind of refusal, and prints what became of them.
//
// For each client and kind a gateway of its own (src/main.ts, its provider a stand-in on loopback) is brought to where it refuses.
// The client makes one call, in its one-shot mode and with its own defaults. A cell says how many attempts reached the gateway, how
// many seconds it took from the first of them, whether its user saw the gateway's text, and how the client ended. docs/refusals.md has the table.
//
// Not part of CI: it installs packages of npm and PyPI (3 GB in a folder under the system's temporary folder, which later runs use
// again), and a whole run takes about an hour. A client that cannot be installed is named as such. Each client has a HOME of its own,
// and a proxy that answers nothing for every address but loopback.

import { execFileSync, spawn } from 'node:child_process'
import { appendFileSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { CLIENTS, type Client, type Command, unknownModel } from './clients.ts'
import { ANSWER_WORD, KINDS, type Kind, RefusingGateway } from './gateway.ts'
import { installPackages } from './packages.ts'

const HELP = `npm run clients -- [options]
  --only A,B        only clients with A or B in their names
  --kinds A,B       only kinds of refusal with A or B in their names
  --setting VALUE   MONEY_REFUSAL (auto)
  --timeout N       seconds after which a client counts as still waiting (90)
  --packages DIR    where packages are installed (a folder under the temporary folder)
  --python PATH     a Python of 3.10 to 3.12 (python3.12, or else python3)
  --output FILE     also appends what each client printed`

const { values: flags } = parseArgs({
  options: {
    only: { type: 'string', default: '' },
    kinds: { type: 'string', default: '' },
    setting: { type: 'string', default: 'auto' },
    timeout: { type: 'string', default: '90' },
    packages: { type: 'string', default: join(tmpdir(), 'bursar-clients') },
    python: { type: 'string' },
    output: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
})

/** The gateway writes its log after its answers. */
const LOG_DELAY_MS = 1_500

interface Ending {
  readonly output: string
  readonly endedAt: number
  /** Undefined if the client was still waiting. */
  readonly exitCode: number | undefined
}

/** Every address but loopback leads to a proxy that there is not. */
const NO_NETWORK = {
  HTTPS_PROXY: 'http://127.0.0.1:9',
  HTTP_PROXY: 'http://127.0.0.1:9',
  NO_PROXY: '127.0.0.1,localhost',
}

/** Runs a command to its end, or ends it and its children at the timeout. */
async function runCommand({ file, args, env }: Command, home: string, timeoutMs: number): Promise<Ending> {
  const path = `${dirname(process.execPath)}:${process.env.PATH ?? ''}`
  const homes = { HOME: home, XDG_CONFIG_HOME: join(home, '.config'), XDG_DATA_HOME: join(home, '.local/share') }
  const wholeEnv = { PATH: path, TERM: 'dumb', CI: '1', NO_COLOR: '1', ...NO_NETWORK, ...homes, ...env }
  // A group of its own, so that its children end with it.
  const child = spawn(file, args, { cwd: home, env: wholeEnv, stdio: ['ignore', 'pipe', 'pipe'], detached: true })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += String(chunk)))
  const end = () => {
    try {
      if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL')
    } catch {
      // The group has ended by itself.
    }
  }
  let isWaiting = false
  const timer = setTimeout(() => {
    isWaiting = true
    end()
  }, timeoutMs)
  const exitCode = await new Promise<number>((resolve) => {
    child.on('close', (code) => resolve(code ?? -1))
    child.on('error', (error) => {
      output += String(error)
      resolve(-1)
    })
  })
  clearTimeout(timer)
  end()
  return { output, endedAt: performance.now(), exitCode: isWaiting ? undefined : exitCode }
}

function endingText({ output, exitCode }: Ending): string {
  if (exitCode === undefined) return 'still waiting'
  return exitCode === 0 && output.includes(ANSWER_WORD) ? 'answered' : `exit ${exitCode}`
}

async function measure(client: Client, kind: Kind, packages: string): Promise<string> {
  const home = mkdtempSync(join(tmpdir(), 'bursar-client-'))
  const gateway = await RefusingGateway.start(kind, home, flags.setting)
  try {
    const model = kind.isPriceUnknown ? unknownModel(client.model) : client.model
    const before = gateway.endings.length
    const command = client.command({ origin: gateway.origin, packages, home, model })
    const ending = await runCommand(command, home, Number(flags.timeout) * 1_000)
    await sleep(LOG_DELAY_MS)
    const endings = gateway.endings.slice(before)
    // The call that was in the way is among them once it has ended.
    const attempts = endings.length - (gateway.isReleased ? 1 : 0)
    const seconds = Math.max(0, ending.endedAt - (endings[0] ?? ending.endedAt)) / 1_000
    if (flags.output) appendFileSync(flags.output, `\n=== ${client.name}, ${kind.name}\n${ending.output}\n`)
    const isShown = ending.output.replace(/\s+/g, ' ').includes(kind.words)
    const count = `${attempts} ${attempts === 1 ? 'attempt' : 'attempts'}`
    return `${count}, ${seconds.toFixed(0)} s, ${isShown ? 'shown' : 'not shown'}, ${endingText(ending)}`
  } finally {
    gateway.stop()
    rmSync(home, { recursive: true, force: true })
  }
}

function pythonOf(): string {
  if (flags.python !== undefined) return flags.python
  try {
    execFileSync('python3.12', ['--version'], { stdio: 'ignore' })
    return 'python3.12'
  } catch {
    return 'python3'
  }
}

const isWanted = (name: string, parts: string) => parts.split(',').some((part) => name.includes(part))

async function main(): Promise<void> {
  if (flags.help) {
    console.log(HELP)
    return
  }
  mkdirSync(flags.packages, { recursive: true })
  const python = pythonOf()
  const kinds = KINDS.filter(({ name }) => isWanted(name, flags.kinds))
  console.log(`| client | ${kinds.map(({ name }) => name).join(' | ')} |`)
  console.log(`|---|${'---|'.repeat(kinds.length)}`)
  for (const client of CLIENTS.filter(({ name }) => isWanted(name, flags.only))) {
    const folder = join(flags.packages, client.name.replace(/[^\w.-]+/g, '-'))
    const failure = installPackages(folder, client.packages, python)
    if (failure !== undefined) {
      console.log(`| ${client.name} | not installed: ${failure} |`)
      continue
    }
    const cells: string[] = []
    for (const kind of kinds) cells.push(await measure(client, kind, folder))
    console.log(`| ${client.name} | ${cells.join(' | ')} |`)
  }
}

await main()

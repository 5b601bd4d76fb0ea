// `npm run bound`: searches for a request that a renderer turns into more tokens than the gateway quotes for its input.
//
// Random requests of text and function tools are rendered by the published code of providers and models, counted with published
// vocabularies, and quoted by the gateway's own code; the worst are changed on. One line per target: the requests tried and refused,
// the worst ratio of tokens rendered to tokens quoted (for text, for tools, for calls of tools, and for all of these at once), and
// the median ratio. Exits with 1 if a ratio is over 1, or if a renderer fails.
//
// Not part of CI: it installs packages of PyPI and npm (see packages.ts; 600 MB in a folder under the system's temporary folder,
// which later runs use again), and a whole run takes about 20 minutes of one core. The same seed gives the same requests.
// What stands in for what is in targets.ts; what the results mean is in docs/promise.md.

import { spawn } from 'node:child_process'
import { appendFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { parseArgs } from 'node:util'
import { installPackages, type Packages } from './packages.ts'
import { Quotes } from './quotes.ts'
import { Random, SUBJECTS, type Subject } from './requests.ts'
import { type Finding, ratioOf, search, type Trial } from './search.ts'
import { allTargets, type Target } from './targets.ts'

const HELP = `npm run bound -- [options]
  --requests N      requests in all (1100000)
  --quick           20,000 requests
  --only A,B        only targets with A or B in their model or renderer
  --seed N          of the random generator (1)
  --packages DIR    where packages are installed (a folder under the temporary folder)
  --worst FILE      also writes the worst body of each target there, a line of JSON each`

const { values: flags } = parseArgs({
  options: {
    requests: { type: 'string', default: '1100000' },
    quick: { type: 'boolean', default: false },
    only: { type: 'string', default: '' },
    seed: { type: 'string', default: '1' },
    packages: { type: 'string', default: join(tmpdir(), 'bursar-byte-bound') },
    worst: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
})
const QUICK_REQUESTS = 20_000

const STOPPED = JSON.stringify({ error: 'the renderer stopped' })

/** The Python process that renders. One request after the other. */
class Renderer implements Disposable {
  readonly #process
  readonly #answers: ((line: string) => void)[] = []
  #hasStopped = false

  constructor({ python, folders }: Packages) {
    const env = { ...process.env, TOKENIZERS_PARALLELISM: 'false', TIKTOKEN_ENCODINGS_BASE: folders['gpt-tokenizer'] }
    const script = join(import.meta.dirname, 'render.py')
    const args = ['-W', 'ignore', script, JSON.stringify(folders)]
    this.#process = spawn(python, args, { env, stdio: ['pipe', 'pipe', 'inherit'] })
    createInterface(this.#process.stdout).on('line', (line) => this.#answers.shift()?.(line))
    this.#process.on('exit', () => {
      this.#hasStopped = true
      for (const answer of this.#answers) answer(STOPPED)
    })
    // What could not be written has no answer either: the exit follows.
    this.#process.stdin.on('error', () => {})
  }

  /** Rejects if the renderer cannot be opened. */
  async tokens(renderer: string, bodies: readonly string[]): Promise<readonly (number | null)[]> {
    const { tokens, error }: { tokens?: (number | null)[]; error?: string } = JSON.parse(
      await this.#ask(renderer, bodies),
    )
    if (!tokens) throw new Error(error ?? 'no answer')
    return tokens
  }

  #ask(renderer: string, bodies: readonly string[]): Promise<string> | string {
    if (this.#hasStopped) return STOPPED
    const line = new Promise<string>((resolve) => this.#answers.push(resolve))
    this.#process.stdin.write(`${JSON.stringify({ renderer, bodies })}\n`)
    return line
  }

  [Symbol.dispose](): void {
    this.#process.stdin.end()
  }
}

/** Returns the worst ratio. */
function print(target: Target, { requests, refused, median, worst }: Finding): number {
  const ratios = SUBJECTS.map((subject) => {
    const trial = worst.get(subject)
    return trial ? ratioOf(trial) : 0
  })
  const ratio = Math.max(...ratios)
  if (ratio > 1) process.exitCode = 1
  const counts = [String(requests).padStart(8), String(refused).padStart(7)]
  const figures = [...counts, ...ratios.map(figure), figure(median)].join(' ')
  console.log(`${figures}  ${ratio > 1 ? 'OVER ' : ''}${target.model} (${target.dialect}), ${target.renderer}`)
  if (flags.worst) for (const [subject, trial] of worst) saveWorst(flags.worst, target, subject, trial)
  return ratio
}

function figure(ratio: number): string {
  return ratio.toFixed(3).padStart(6)
}

function saveWorst(file: string, { model, dialect, renderer }: Target, subject: Subject, trial: Trial): void {
  const { body, rendered, quoted } = trial
  appendFileSync(
    file,
    `${JSON.stringify({ ratio: ratioOf(trial), model, dialect, renderer, subject, rendered, quoted, body })}\n`,
  )
}

function countOf(name: string, text: string): number {
  const count = Number(text)
  if (Number.isSafeInteger(count) && count > 0) return count
  throw new RangeError(`--${name}: ${text} is no whole number above zero`)
}

function isWanted({ model, renderer }: Target): boolean {
  return flags.only.split(',').some((part) => `${model} ${renderer}`.includes(part))
}

async function main(): Promise<void> {
  if (flags.help) {
    console.log(HELP)
    return
  }
  const packages = installPackages(flags.packages)
  const targets = allTargets(packages.templates).filter(isWanted)
  const shares = targets.reduce((sum, { share }) => sum + share, 0)
  const requests = flags.quick ? QUICK_REQUESTS : countOf('requests', flags.requests)
  const seed = countOf('seed', flags.seed)
  const quotes = await Quotes.open()
  using renderer = new Renderer(packages)
  let tried = 0
  let worst = 0
  console.log('                  worst ratio by subject')
  console.log('requests refused   text  tools  calls    all median  target, renderer')
  for (const target of targets) {
    const random = new Random(seed + tried)
    const render = (bodies: readonly string[]) => renderer.tokens(target.renderer, bodies)
    const quote = quotes.of(target.dialect, target.model)
    const wanted = Math.ceil((requests * target.share) / shares)
    try {
      const finding = await search(target, { render, quote, random, requests: wanted })
      worst = Math.max(worst, print(target, finding))
      tried += finding.requests
    } catch (error) {
      process.exitCode = 1
      console.log(`   not rendered: ${target.model}, ${target.renderer}: ${String(error)}`)
    }
  }
  console.log(`${tried} requests in all, worst ratio ${worst.toFixed(3)}`)
  await quotes.close()
}

await main()

// What translation costs: the same call passed through, and asked in one dialect and answered in another, by one process in
// alternating slices. It has no target: the table tells.
import { PASS_THROUGH, type Way } from './bodies.ts'
import { costOf, type Loader, type Measured, measure, median, type Subject, sum } from './measure.ts'

/** The first is what the others are held against. */
export const WAYS: readonly { name: string; way: Way }[] = [
  { name: 'passed through', way: PASS_THROUGH },
  { name: 'OpenAI asks Anthropic', way: { asked: 'openai', model: 'anthropic/claude-sonnet-4-5' } },
  { name: 'Anthropic asks OpenAI', way: { asked: 'anthropic', model: 'openai/gpt-4o' } },
  { name: 'OpenAI asks Gemini', way: { asked: 'openai', model: 'gemini/gemini-2.5-flash' } },
]

/** So few streams at once that the dearest way keeps up: a gateway that does not coalesces chunks, and looks cheaper than it is. */
export const CASES = [
  { name: '1 kB body, per call', kind: '1kb', connections: 32, unit: 'calls' },
  { name: 'stream, per chunk', kind: 'stream', connections: 4, unit: 'chunks' },
] as const

type Case = (typeof CASES)[number]
/** A round takes about as long as a pair of the other cases. */
export type TranslatedTest = { loader: Loader; ours: Subject; pairs: number; seconds: number }

const WARM_UP_SECONDS = 3
const SLICE_SECONDS = 1

/** One list of slices per way. They go there and back, so that a slow moment of the machine falls on all of them. */
async function round({ loader, ours, seconds }: TranslatedTest, { kind, connections }: Case): Promise<Measured[][]> {
  const slices: Measured[][] = WAYS.map(() => [])
  const turns = WAYS.map(({ way }, at) => async () => {
    slices[at]?.push(await measure(loader, ours, { kind, connections, way, seconds: SLICE_SECONDS }))
  })
  for (let done = 0; done < seconds / 2; done += SLICE_SECONDS) {
    for (const turn of turns) await turn()
    turns.reverse()
  }
  return slices
}

async function measureCase(test: TranslatedTest, one: Case): Promise<Measured[][][]> {
  const { kind, connections } = one
  for (const { way } of WAYS)
    await measure(test.loader, test.ours, { kind, connections, way, seconds: WARM_UP_SECONDS })
  const rounds: Measured[][][] = []
  while (rounds.length < test.pairs) rounds.push(await round(test, one))
  return rounds
}

/** CPU of the gateway, and how many times that of the same call passed through: medians over the rounds, and their spread. */
export async function translated(test: TranslatedTest): Promise<void> {
  for (const one of CASES) {
    const rounds = await measureCase(test, one)
    console.log(`translated, ${one.name}`)
    for (const [at, { name }] of WAYS.entries()) {
      const us = rounds.map((slices) => costIn(slices[at] ?? [], one))
      const ratios = us.map((cost, index) => cost / costIn(rounds[index]?.[0] ?? [], one))
      const spread = `(${Math.min(...ratios).toFixed(2)}–${Math.max(...ratios).toFixed(2)})`
      const reads = one.unit === 'chunks' ? `  chunks per read ${perRead(rounds, at).toFixed(2)}` : ''
      console.log(
        `  ${name.padEnd(28)} ${median(us).toFixed(1).padStart(6)} µs  ` +
          `${median(ratios).toFixed(2)} × ${at === 0 ? ''.padEnd(spread.length) : spread}${reads}`,
      )
    }
  }
  console.log(`  ${'memory'.padEnd(28)} ${(costOf(test.ours.pid).peakBytes / 1024 / 1024).toFixed(0)} MB at most`)
}

function costIn(slices: readonly Measured[], { unit }: Case): number {
  return sum(slices, 'cpuUs') / sum(slices, unit)
}

function perRead(rounds: readonly Measured[][][], at: number): number {
  const slices = rounds.flatMap((ways) => ways[at] ?? [])
  return sum(slices, 'chunks') / sum(slices, 'reads')
}

// `npm run bench`: what a call costs here compared with the bare proxy in `bare.ts`, in one run on one machine.
// Prints one line per target and exits with 1 when one is missed. Reads no settings of yours; leaves nothing behind.
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { AGAINST_CASES, compareAgainst } from './against.ts'
import { analytics } from './analytics.ts'
import type { Kind } from './bodies.ts'
import { type Latency, latency, type Ratio, ratio, startTimes, type Test } from './cases.ts'
import { firstContent } from './first-content.ts'
import { bursarEnv, ROOT, startGateway } from './gateway.ts'
import { type KeysFound, keys } from './keys.ts'
import { costOf, folder, median, type Subject, start, startLoader, watchOthers } from './measure.ts'
import { pages } from './pages.ts'
import { startPortkey } from './peers.ts'
import { SOAK_ENV, soak } from './soak.ts'
import { translated } from './translated.ts'
import { verdict } from './verdict.ts'

const HELP = `npm run bench -- [options]
  --only 1kb|100kb|stream|latency|translated|soak|start|keys|analytics|pages   one case (default: all but
                the last five)
  --pairs N     pairs of runs (7)        --seconds N   length of one run (10)
  --quick       3 pairs of 4 seconds     --minutes N   length of the soak (10): calls, streams, clients that leave, faults
  --rows N      ledger rows for start, analytics and pages (10000000)
  --keys N      keys with limits for keys (100000)
  --ledgers DIR keeps the ledgers of analytics, and takes them from there if they are there
  --peers       what a call costs another gateway, as many times ours (needs the npm registry)
  --against COMMIT   CPU and memory of this tree compared with a commit's, and with a second instance of this tree
                (about 75 minutes, or 20 with --quick; --only 1kb|100kb|stream|translated|latency|memory)
  --self        measure the bare proxy against itself: how much this machine lies`

const CASES = ['1kb', '100kb', 'stream', 'latency', 'translated', 'soak', 'start', 'keys', 'analytics', 'pages']

const { values: flags } = parseArgs({
  options: {
    only: { type: 'string' },
    pairs: { type: 'string' },
    seconds: { type: 'string' },
    minutes: { type: 'string', default: '10' },
    rows: { type: 'string', default: '10000000' },
    keys: { type: 'string', default: '100000' },
    ledgers: { type: 'string' },
    against: { type: 'string' },
    quick: { type: 'boolean', default: false },
    self: { type: 'boolean', default: false },
    peers: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
})

const BARE = join(import.meta.dirname, 'bare.ts')
const MAX_RSS_BYTES = 200 * 1024 * 1024
const TARGETS: readonly { name: string; kind: Kind; only: string; atMost: number }[] = [
  { name: '1 kB body', kind: '1kb', only: '1kb', atMost: 1.5 },
  { name: '100 kB body', kind: '100kb', only: '100kb', atMost: 1.25 },
  { name: 'stream, per chunk', kind: 'stream', only: 'stream', atMost: 1.3 },
  { name: 'stream with usage, per chunk', kind: 'stream-usage', only: 'stream', atMost: 1.3 },
]

const MAX_KEYS_START = 1.2
const MAX_KEYS_CALL = 1.03
const MAX_CHANGE_MS = 10

const PEER_AT_LEAST = 6
/** Few streams at once: a gateway that cannot keep up coalesces chunks, and looks cheaper than it is. */
const PEER_CASES: readonly { name: string; kind: Kind; unit: string; connections: number }[] = [
  { name: '1 kB body', kind: '1kb', unit: 'call', connections: 32 },
  { name: 'stream, per chunk', kind: 'stream', unit: 'chunk', connections: 8 },
]

function printRatio(name: string, unit: string, atMost: number, found: Ratio): void {
  const { bareUs, oursUs, medianRatio, minRatio, maxRatio } = found
  console.log(
    `${name.padEnd(30)} bare ${bareUs.toFixed(1).padStart(6)} µs/${unit}  ours ${oursUs.toFixed(1).padStart(6)} µs/${unit}  ` +
      `ratio ${medianRatio.toFixed(2)} (${minRatio.toFixed(2)}–${maxRatio.toFixed(2)})  target ≤ ${atMost}  ${verdict(medianRatio <= atMost)}`,
  )
  if (found.note) console.log(`${''.padEnd(30)} ${found.note}`)
}

function printLatency(found: Latency): void {
  const line = (name: string, added: readonly number[], bareMs: readonly number[], atMost: number) => {
    const spread = `${Math.min(...added).toFixed(2)} to ${Math.max(...added).toFixed(2)}`
    console.log(
      `${name.padEnd(30)} bare ${median(bareMs).toFixed(2)} ms  added ${median(added).toFixed(2)} ms (${spread})  ` +
        `target ≤ ${atMost} ms  ${verdict(median(added) <= atMost)}`,
    )
  }
  console.log(`at ${Math.round(found.ratePerSecond)} calls/s, half of what ours answers at most`)
  line('latency p50', found.addedP50Ms, found.bareP50Ms, 0.3)
  line('latency p99', found.addedP99Ms, found.bareP99Ms, 2)
}

function printKeys(found: KeysFound): void {
  const { withoutMs, withMs, changeMs, subjectMs, calls } = found
  const started = withMs / withoutMs
  console.log(
    `${'start'.padEnd(30)} without ${withoutMs.toFixed(0)} ms  with ${withMs.toFixed(0)} ms  ratio ${started.toFixed(2)}  ` +
      `target ≤ ${MAX_KEYS_START}  ${verdict(started <= MAX_KEYS_START)}`,
  )
  const changes = [
    ["change of a key's limits", changeMs],
    ["change of a project's limits", subjectMs],
  ] as const
  for (const [name, { median: usual, most }] of changes)
    console.log(
      `${name.padEnd(30)} ${usual.toFixed(2)} ms (at most ${most.toFixed(2)})  target ≤ ${MAX_CHANGE_MS} ms  ${verdict(usual <= MAX_CHANGE_MS)}`,
    )
  printRatio('1 kB body, with keys', 'call', MAX_KEYS_CALL, calls)
}

function printRss(name: string, peakBytes: number): void {
  const megabytes = (peakBytes / 1024 / 1024).toFixed(0)
  console.log(`${name.padEnd(30)} ${megabytes} MB at most  target ≤ 200 MB  ${verdict(peakBytes <= MAX_RSS_BYTES)}`)
}

/** A busy machine makes every number above larger, and not evenly. */
function printOthers(share: number): void {
  if (share > 0.03)
    console.log(`note: other processes and the host took ${(share * 100).toFixed(0)} % of this machine meanwhile`)
}

/** Ours against another gateway, with the roles of bare and ours: the ratio says how many times less a call costs here. */
async function comparePeer(test: Omit<Test, 'bare' | 'ours'>, ours: Subject, peer: Subject): Promise<void> {
  for (const { name, kind, unit, connections } of PEER_CASES) {
    if (!wanted(kind)) continue
    const found = await ratio({ ...test, bare: ours, ours: peer }, kind, connections)
    const { bareUs, oursUs, medianRatio, minRatio, maxRatio } = found
    console.log(
      `${name.padEnd(30)} ${peer.name} ${oursUs.toFixed(1).padStart(6)} µs/${unit}  ours ${bareUs.toFixed(1).padStart(6)} µs/${unit}  ` +
        `${medianRatio.toFixed(1)} × less (${minRatio.toFixed(1)}–${maxRatio.toFixed(1)})  target ≥ ${PEER_AT_LEAST} ×  ${verdict(medianRatio >= PEER_AT_LEAST)}`,
    )
    if (found.note) console.log(`${''.padEnd(30)} ${found.note}`)
  }
}

async function compareTrees(commit: string, upstream: Subject, pairs: number, seconds: number): Promise<void> {
  if (flags.self || flags.peers) throw new Error('--against compares two trees: leave --self and --peers out')
  const others = watchOthers()
  await compareAgainst(commit, upstream, { only: flags.only, pairs, seconds })
  printOthers(others())
}

const wanted = (name: string) => flags.only === undefined || flags.only === name

async function main(): Promise<void> {
  if (flags.help) return console.log(HELP)
  const cases = flags.against === undefined ? CASES : AGAINST_CASES
  if (flags.only !== undefined && !cases.includes(flags.only)) throw new Error(`--only ${flags.only}?\n${HELP}`)
  const pairs = Number(flags.pairs ?? (flags.quick ? 3 : 7))
  const seconds = Number(flags.seconds ?? (flags.quick ? 4 : 10))
  const upstream = await start('upstream', join(import.meta.dirname, 'upstream.ts'), {})
  if (flags.against !== undefined) return compareTrees(flags.against, upstream, pairs, seconds)
  const startBare = (name: string) => start(name, BARE, { UPSTREAM: `http://127.0.0.1:${upstream.port}` })
  const startOurs = (database = 'bench.db', more: Record<string, string> = {}) =>
    flags.self ? startBare('ours') : startGateway('ours', ROOT, { ...bursarEnv(upstream, database), ...more })

  if (flags.only === 'start') return startTimes(startOurs, Number(flags.rows))
  // The first start after a change reads TypeScript, and 25 MB of what that takes stay with the process: every later one is measured.
  await (await startOurs('first.db')).stop()
  if (flags.only === 'soak') {
    if (flags.self) throw new Error('--self: the bare proxy has no ledger to look into')
    const ours = await startOurs('soak.db', SOAK_ENV)
    return printRss('memory', await soak(ours, upstream, join(folder, 'soak.db'), Number(flags.minutes)))
  }
  if (flags.only === 'keys') {
    if (flags.self) throw new Error('--self: the bare proxy has no keys')
    const startWith = (name: string, database: string, env: Record<string, string>) =>
      startGateway(name, ROOT, { ...bursarEnv(upstream, database), ...env })
    const othersTook = watchOthers()
    printKeys(await keys(startWith, { count: Number(flags.keys), pairs, seconds }))
    return printOthers(othersTook())
  }
  if (flags.only === 'analytics') {
    if (flags.self) throw new Error('--self: the bare proxy has no ledger')
    const startWith = (name: string, database: string, env: Record<string, string>) =>
      startGateway(name, ROOT, { ...bursarEnv(upstream, database), ...env })
    const othersTook = watchOthers()
    await analytics(startWith, { rows: Number(flags.rows), ledgers: flags.ledgers, pairs, seconds })
    return printOthers(othersTook())
  }
  if (flags.only === 'pages') {
    if (flags.self) throw new Error('--self: the bare proxy has no pages')
    const startWith = (name: string, database: string, env: Record<string, string>) =>
      startGateway(name, ROOT, { ...bursarEnv(upstream, database), ...env })
    const othersTook = watchOthers()
    await pages(startWith, { rows: Number(flags.rows), ledgers: flags.ledgers, pairs, seconds })
    return printOthers(othersTook())
  }
  const ours = await startOurs()
  const others = watchOthers()
  if (flags.peers) {
    await comparePeer({ loader: startLoader(), pairs, seconds }, ours, await startPortkey(upstream))
    return printOthers(others())
  }
  if (flags.self && flags.only === 'translated') throw new Error('--self: the bare proxy translates nothing')
  const test: Test = { loader: startLoader(), bare: await startBare('bare'), ours, pairs, seconds }
  for (const target of TARGETS) {
    if (!wanted(target.only)) continue
    printRatio(target.name, target.only === 'stream' ? 'chunk' : 'call', target.atMost, await ratio(test, target.kind))
  }
  if (wanted('latency')) {
    printLatency(await latency(test))
    await firstContent({ ...test, upstream })
  }
  if (flags.only !== 'translated') printRss('memory', costOf(ours.pid).peakBytes)
  if (wanted('translated') && !flags.self) await translated(test)
  printOthers(others())
}

try {
  await main()
} catch (error) {
  console.error(error instanceof Error ? error.message : error)
  process.exitCode = 1
}
process.exit()

// Search: tries random requests at one target, changes the worst of them again and again, and keeps the worst ratio of tokens rendered
// to input tokens quoted.

import { bodyOf } from './bodies.ts'
import { type DraftRequest, mutated, newRequest, type Random, SUBJECTS, type Subject } from './requests.ts'
import type { Target } from './targets.ts'

/** What was found at a target. */
export interface Finding {
  readonly requests: number
  /** Requests that the renderer refused; they are not among `requests`. */
  readonly refused: number
  /** The median of the ratios. */
  readonly median: number
  /** The worst requests by subject, where there are any. */
  readonly worst: ReadonlyMap<Subject, Trial>
}

/** One request that was rendered and quoted. */
export interface Trial {
  readonly request: DraftRequest
  readonly body: string
  readonly rendered: number
  readonly quoted: number
}

export interface SearchParts {
  /** Tokens of each body; null for a body that the renderer refuses. */
  readonly render: (bodies: readonly string[]) => Promise<readonly (number | null)[]>
  readonly quote: (body: string) => number
  readonly random: Random
  readonly requests: number
}

/** Most requests are small, so that many fit into the time. A few are large: there the tokens that are added to each call weigh less. */
const SMALL: Size = { batch: 250, elements: 40, bodyBytes: 800 }
const LARGE: Size = { batch: 20, elements: 800, bodyBytes: 6_000 }
/** A short search has so many batches all the same, so that each subject has its turn twice. */
const MIN_BATCHES = 8
/** One batch in so many is large. */
const LARGE_EVERY = 5
/** The worst requests so far, which are changed on. */
const POOL_SIZE = 24
const NEW_SHARE = 0.4
/** A renderer that refused so many requests, and took none, is given up. */
const MAX_USELESS_REQUESTS = 1_000

interface Size {
  readonly batch: number
  /** Roughly how many elements a part has at most. */
  readonly elements: number
  readonly bodyBytes: number
}

export function ratioOf({ rendered, quoted }: Trial): number {
  return rendered / quoted
}

/** Tries `requests` requests. The next batch is made while the last one is rendered. Rejects if the renderer fails. */
export async function search(target: Target, parts: SearchParts): Promise<Finding> {
  const pools = SUBJECTS.map((subject) => ({ subject, small: new Pool(), large: new Pool() }))
  const ratios: number[] = []
  let refused = 0
  let batches = 0
  let pending = startBatch(target, parts, pools, batches)
  while (ratios.length < parts.requests) {
    const next = startBatch(target, parts, pools, ++batches)
    for (const trial of await finishBatch(pending, parts)) {
      if (!trial) refused++
      else {
        ratios.push(ratioOf(trial))
        pending.pool.add(trial)
      }
    }
    pending = next
    if (ratios.length === 0 && refused > MAX_USELESS_REQUESTS) break
  }
  await pending.tokens
  ratios.sort((left, right) => left - right)
  const median = ratios[Math.floor(ratios.length / 2)] ?? 0
  return { requests: ratios.length, refused, median, worst: worstBySubject(pools) }
}

function worstBySubject(pools: readonly Pools[]): ReadonlyMap<Subject, Trial> {
  const worst = new Map<Subject, Trial>()
  for (const { subject, small, large } of pools) {
    for (const trial of [small.worst, large.worst]) {
      const known = worst.get(subject)
      if (trial && (!known || ratioOf(trial) > ratioOf(known))) worst.set(subject, trial)
    }
  }
  return worst
}

/** The worst requests of one subject so far. */
interface Pools {
  readonly subject: Subject
  readonly small: Pool
  readonly large: Pool
}

interface Batch {
  readonly requests: readonly DraftRequest[]
  readonly bodies: readonly string[]
  readonly pool: Pool
  readonly tokens: Promise<readonly (number | null)[]>
}

function startBatch(
  { dialect, model }: Target,
  { render, random, requests: wanted }: SearchParts,
  all: readonly Pools[],
  index: number,
): Batch {
  const pools = all[index % all.length]
  if (!pools) throw new RangeError('there is no subject')
  const isLarge = Math.floor(index / all.length) % LARGE_EVERY === LARGE_EVERY - 1
  const size = isLarge ? LARGE : SMALL
  const pool = isLarge ? pools.large : pools.small
  const [provider = ''] = model.split('/', 1)
  const name = NAMES_IN_BODIES.has(provider) ? model.slice(provider.length + 1) : model
  const requests: DraftRequest[] = []
  const bodies: string[] = []
  const count = Math.min(size.batch, Math.ceil(wanted / MIN_BATCHES))
  while (requests.length < count) {
    // Large requests also grow out of the worst small ones.
    const request = nextRequest(random, pools.subject, isLarge && random.chance(0.3) ? pools.small : pool, size)
    const body = bodyOf(dialect, name, request)
    if (Buffer.byteLength(body) > size.bodyBytes) continue
    requests.push(request)
    bodies.push(body)
  }
  const tokens = render(bodies)
  // A failure is reported where the batch is finished.
  tokens.catch(() => {})
  return { requests, bodies, pool, tokens }
}

/** Providers whose models need no provider in front. */
const NAMES_IN_BODIES: ReadonlySet<string> = new Set(['anthropic', 'gemini'])

function nextRequest(random: Random, subject: Subject, pool: Pool, { elements }: Size): DraftRequest {
  const parent = pool.pick(random)
  if (!parent || random.chance(NEW_SHARE)) return newRequest(random, subject, elements)
  let request = mutated(random, parent, subject, elements)
  while (random.chance(0.3)) request = mutated(random, request, subject, elements)
  return request
}

async function finishBatch(batch: Batch, { quote }: SearchParts): Promise<readonly (Trial | null)[]> {
  const quotes = batch.bodies.map(quote)
  const tokens = await batch.tokens
  return batch.requests.map((request, index) => {
    const rendered = tokens[index] ?? null
    return rendered === null ? null : { request, body: batch.bodies[index] ?? '', rendered, quoted: quotes[index] ?? 0 }
  })
}

/** The worst requests, the worst first, each ratio once. */
class Pool {
  readonly #trials: Trial[] = []

  get worst(): Trial | undefined {
    return this.#trials[0]
  }

  add(trial: Trial): void {
    const ratio = ratioOf(trial)
    const at = this.#trials.findIndex((other) => ratioOf(other) <= ratio)
    const isKnown =
      at >= 0 && this.#trials[at]?.rendered === trial.rendered && this.#trials[at]?.quoted === trial.quoted
    if (isKnown || (at < 0 && this.#trials.length >= POOL_SIZE)) return
    this.#trials.splice(at < 0 ? this.#trials.length : at, 0, trial)
    if (this.#trials.length > POOL_SIZE) this.#trials.pop()
  }

  /** The worst more often. */
  pick(random: Random): DraftRequest | undefined {
    return this.#trials[Math.floor(this.#trials.length * random.next() ** 2)]?.request
  }
}

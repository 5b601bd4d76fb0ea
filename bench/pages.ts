// What an open dashboard costs: CPU per call with no page, with one and with ten, alternating in one run at 200 calls a second; the gateway's
// memory before and after; and how soon the page shows figures in Chromium.
import { existsSync } from 'node:fs'
import { get, type IncomingMessage } from 'node:http'
import { chromium } from 'playwright-core'
import { filled, untilSums } from './analytics.ts'
import { costOf, type Loader, measure, median, type Subject, startLoader } from './measure.ts'
import { verdict } from './verdict.ts'

const ADMIN_KEY = 'admin_bench_secret_0123'
const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium'
const LOAD = { kind: '1kb', connections: 32, ratePerSecond: 200 } as const
const PAGES = [0, 1, 10] as const
const MAX_RATIO = { 0: 1, 1: 1.03, 10: 1.1 } as const
const PAINTS = 10
const MAX_PAINT_MS = 1_000

interface PagesOptions {
  readonly rows: number
  readonly ledgers: string | undefined
  readonly pairs: number
  readonly seconds: number
}

type StartOurs = (name: string, database: string, env: Record<string, string>) => Promise<Subject>

const line = (name: string, text: string) => console.log(`${name.padEnd(30)} ${text}`)
const megabytes = (bytes: number) => `${(bytes / 1024 / 1024).toFixed(0)} MB`

export async function pages(startOurs: StartOurs, { rows, ledgers, pairs, seconds }: PagesOptions): Promise<void> {
  const file = filled('varied', { rows, ledgers, pairs, seconds })
  const subject = await startOurs('ours', '', { ADMIN_KEY, DATABASE_URL: `sqlite:${file}`, LOG_LEVEL: 'warn' })
  console.log(`a ledger of ${rows} entries`)
  await untilSums(subject)
  await paint(subject)
  await openPages(startLoader(), subject, pairs, seconds)
  await subject.stop()
}

/** From the request of the page to its figures, signed in. The first load compiles, and is left out. */
async function paint({ port }: Subject): Promise<void> {
  if (!existsSync(CHROMIUM)) return line('first figures', `not measured: Chromium is not at ${CHROMIUM}`)
  const browser = await chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox', '--disable-gpu'] })
  const times: number[] = []
  for (let count = 0; count <= PAINTS; count++) {
    const context = await browser.newContext()
    await context.request.post(`http://localhost:${port}/session`, {
      data: { key: ADMIN_KEY },
      headers: { 'sec-fetch-site': 'same-origin' },
    })
    const page = await context.newPage()
    const from = performance.now()
    await page.goto(`http://localhost:${port}/dashboard`, { waitUntil: 'commit' })
    await page.getByText('Spent today').waitFor()
    if (count > 0) times.push(performance.now() - from)
    await context.close()
  }
  await browser.close()
  const found = median(times)
  line(
    'first figures',
    `${found.toFixed(0)} ms (at most ${Math.max(...times).toFixed(0)})  target ≤ ${MAX_PAINT_MS} ms  ${verdict(found <= MAX_PAINT_MS)}`,
  )
}

async function openPages(loader: Loader, subject: Subject, pairs: number, seconds: number): Promise<void> {
  const costs = new Map<number, number[]>(PAGES.map((count) => [count, []]))
  await measure(loader, subject, { ...LOAD, seconds })
  const before = costOf(subject.pid).rssBytes
  for (let pair = 0; pair < pairs; pair++)
    for (const count of pair % 2 === 0 ? PAGES : PAGES.toReversed()) {
      const readers = await Promise.all(Array.from({ length: count }, () => read(subject)))
      costs.get(count)?.push((await measure(loader, subject, { ...LOAD, seconds })).cpuUsPerCall)
      for (const reader of readers) reader.destroy()
    }
  const none = costs.get(0) ?? []
  line('no page open', `${median(none).toFixed(0)} µs/call at 200 calls/s`)
  for (const count of [1, 10] as const) {
    const found = costs.get(count) ?? []
    const ratios = found.map((cost, index) => cost / (none[index] ?? cost))
    const ratio = median(ratios)
    line(
      `${count} ${count === 1 ? 'page' : 'pages'} open`,
      `${median(found).toFixed(0)} µs/call  ratio ${ratio.toFixed(3)} (${Math.min(...ratios).toFixed(3)}–${Math.max(...ratios).toFixed(3)})  target ≤ ${MAX_RATIO[count]}  ${verdict(ratio <= MAX_RATIO[count])}`,
    )
  }
  line('memory', `${megabytes(before)} before, ${megabytes(costOf(subject.pid).rssBytes)} after`)
}

/** Reads the live events as a page does. */
function read({ port }: Subject): Promise<IncomingMessage> {
  const headers = { authorization: `Bearer ${ADMIN_KEY}`, accept: 'text/event-stream' }
  return new Promise((resolve, reject) => {
    get({ port, host: '127.0.0.1', path: '/llm/live', headers }, (response) => {
      if (response.statusCode !== 200) return reject(new Error(`/llm/live answered ${response.statusCode}`))
      response.resume()
      response.on('error', () => {})
      resolve(response)
    }).on('error', reject)
  })
}

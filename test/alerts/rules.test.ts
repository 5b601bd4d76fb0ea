// The rules and messages of alerts, as values.

import { expect, it, test } from 'vitest'
import { limitAlert } from '../../src/alerts/limit-alerts.ts'
import { mailParts, messageOf, slackPayload } from '../../src/alerts/messages.ts'
import { retryWaitMs } from '../../src/alerts/retries.ts'
import { Thresholds } from '../../src/alerts/thresholds.ts'
import { hoursOfSpend, isUnusual } from '../../src/alerts/unusual-spend.ts'
import { readFileText } from '../../src/config/file.ts'
import { isPublicAddress } from '../../src/config/private-addresses.ts'
import type { LevelView, Meter } from '../../src/core/meter.ts'
import { newUsageSum } from '../../src/core/usage-sum.ts'
import type { UsageQuery } from '../../src/stores/usage-query.ts'

const SECRET = `whsec_${'A'.repeat(32)}`
const read = (alerts: unknown[], env = {}) => readFileText(JSON.stringify({ alerts }), env)
const ROW = { name: 'ops', send: 'webhook', url: 'https://example.com/', secret: SECRET }

test.each([
  [{ ...ROW, on: ['limits'] }, 'on[0]: must be'],
  [{ ...ROW, on: ['limits'] }, 'Did you mean limit?'],
  [{ ...ROW, limits: ['perUser.costPerDy'] }, 'Did you mean perUser.costPerDay?'],
  [{ ...ROW, limits: ['global.costPerCall'] }, 'holds for each call alone'],
  [{ ...ROW, secret: '$NOT_SET' }, 'secret: names the variable NOT_SET'],
  [{ ...ROW, secret: 'hunter2' }, 'must be whsec_'],
  [{ ...ROW, url: 'https://0x7f000001/' }, 'must not be on this machine'],
  [{ ...ROW, send: 'mail' }, 'from'],
  [
    { name: 'm', send: 'mail', server: 'smtp://0x7f000001', from: 'a@b.de', to: ['c@d.de'] },
    'must not be on this machine',
  ],
  [
    { name: 'm', send: 'mail', server: 'smtp://x.de', from: 'a@b.de\r\nBcc: x@y.de', to: ['c@d.de'] },
    'must be an address',
  ],
])('%j is a mistake: %s', (row, text) => {
  const { mistakes } = read([row])
  expect(mistakes.join('\n')).toContain(text)
  expect(mistakes.join('\n')).not.toContain('hunter2')
})

test.each([
  ['8.8.8.8', true],
  ['2606:4700::1', true],
  ['10.1.2.3', false],
  ['172.31.0.1', false],
  ['100.64.0.1', false],
  ['::ffff:8.8.8.8', false],
  ['fe80::1', false],
  ['2002:7f00:1::', false],
  ['64:ff9b::7f00:1', false],
  ['nonsense', false],
])('%s is public: %s', (address, isPublic) => expect(isPublicAddress(address)).toBe(isPublic))

const METER: Meter = {
  key: 'user:ci/u/cost/day:2026-11-30@Europe/Berlin',
  name: 'daily_spending_limit',
  who: 'user',
  subject: 'ci/u',
  what: 'cost',
  span: 'day',
  refill: 'window',
  spanMs: 86_400_000,
  endsAtMs: Date.UTC(2026, 10, 30, 23),
}
const levelOf = (settled: bigint, reserved: bigint, meter = METER): LevelView => ({
  meter,
  capacity: 10_000_000_000n,
  enforced: true,
  settled,
  reserved,
  free: 0n,
  resetMs: 0,
})
const [row] = read([{ ...ROW, limits: ['perUser.costPerDay'], at: [50, 80, 100] }]).file.alerts
const NOW = { wallMs: 1, monoMs: 1 }

it('a percentage is reached by what is spent, once, and the highest at once', async () => {
  const thresholds = new Thresholds()
  thresholds.use(row ? [row] : [])
  const readAt = async (level: LevelView) =>
    (await thresholds.read({ levels: async () => [level] }, NOW)).map(({ percent }) => percent)
  thresholds.hear([levelOf(4_999_999_999n, 0n)], 1)
  expect(thresholds.hasCandidates).toBe(false)
  thresholds.hear([levelOf(4_000_000_000n, 1_000_000_000n)], 1)
  expect(await readAt(levelOf(4_000_000_000n, 1_000_000_000n))).toEqual([])
  expect(thresholds.hasCandidates).toBe(true)
  expect(await readAt(levelOf(8_000_000_000n, 0n))).toEqual([80])
  expect(thresholds.hasCandidates).toBe(false)
  thresholds.hear([levelOf(9_000_000_000n, 0n)], 1)
  expect(thresholds.hasCandidates).toBe(false)
  const refusal = { meter: METER, kind: 'time', needed: 2_000_000_000n, capacity: 10_000_000_000n } as const
  thresholds.hearRefusal(refusal as never, 1)
  expect(await readAt(levelOf(9_000_000_000n, 0n))).toEqual([100])
})

it('a limit that may have reached a percentage is read, however many others come before', async () => {
  const thresholds = new Thresholds()
  thresholds.use(row ? [row] : [])
  thresholds.hear([levelOf(5_000_000_000n, 0n)], 1)
  for (let index = 0; index < 20_000; index++)
    thresholds.hear([levelOf(0n, 0n, { ...METER, key: `user:ci/${index}/cost/day:2026-11-30` })], 1)
  const reached = await thresholds.read({ levels: async () => [levelOf(5_000_000_000n, 0n)] }, NOW)
  expect(reached.map(({ percent }) => percent)).toEqual([50])
})

it('an alert says what, who, how much of how much, since and until when', () => {
  const { title, text, key } = limitAlert(
    { level: levelOf(8_000_000_000n, 500_000_000n), percent: 80, hasRefused: false },
    0,
  )
  expect(title).toBe('daily_spending_limit of user:ci/u has reached 80 %')
  expect(text).toBe(
    '$8 of $10 is spent since the day 2026-11-30 began. Open calls hold $0.5 more. The limit starts anew at 2026-11-30 23:00 UTC.',
  )
  expect(key).toContain(METER.key)
})

it('hostile names stay text in every format', () => {
  const subject = 'ci/<!channel>\r\nBcc: x@y.de<script>&\u202e'
  const alert = limitAlert(
    { level: levelOf(8_000_000_000n, 0n, { ...METER, subject }), percent: 80, hasRefused: false },
    0,
  )
  const message = messageOf(alert, 'http://localhost/llm/limits')
  const slack = slackPayload(message)
  expect(slack.text).toContain('&lt;!channel&gt;')
  expect(JSON.stringify(slack)).not.toMatch(/<!|<script/)
  const mail = mailParts(message)
  expect(mail.subject).not.toMatch(/[\r\n\u202e]/)
  expect(mail.html).not.toContain('<script>')
})

it('waits grow, are longer by what a receiver asks for, and end', () => {
  const soon = { kind: 'failed', error: '', retry: 'soon' } as const
  expect(Array.from({ length: 10 }, (_, index) => retryWaitMs(soon, index + 1, 0))).toEqual(
    [5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400, undefined].map(
      (seconds) => seconds && seconds * 1_000,
    ),
  )
  expect(retryWaitMs({ ...soon, retryAfterMs: 60_000 }, 1, 0)).toBe(60_000)
  expect(retryWaitMs({ ...soon, retry: 'seldom' }, 1, 0.5)).toBe(3_780_000)
})

it('an hour is unusual above the floor and three times the median of that hour', async () => {
  const startsAtMs = Date.UTC(2026, 10, 30, 10)
  const usage =
    (days: number, usual: bigint, now: bigint) =>
    async ({ cuts = [] }: UsageQuery) => {
      const parts = Array.from({ length: cuts.length + 1 }, (_, index) => {
        const isHour = index % 2 === 0 && index / 2 >= 14 - days
        const costNanoUsd = index === cuts.length ? now : isHour ? usual : 0n
        return Object.assign(newUsageSum(), { costNanoUsd, requests: isHour ? 1 : 0 })
      })
      return { total: newUsageSum(), parts, by: {}, series: [] }
    }
  const rule = { factor: 3, floorNanoUsd: 1_000_000_000n }
  const isOdd = async (days: number, usual: bigint, now: bigint) => {
    const [hour] = await hoursOfSpend({ usage: usage(days, usual, now) }, startsAtMs, false, rule.floorNanoUsd)
    return hour !== undefined && isUnusual(hour, rule)
  }
  expect(await isOdd(14, 1_000_000_000n, 3_000_000_000n)).toBe(false)
  expect(await isOdd(14, 1_000_000_000n, 3_000_000_001n)).toBe(true)
  expect(await isOdd(14, 1n, 1_000_000_000n)).toBe(false)
  expect(await isOdd(7, 0n, 1_000_000_001n)).toBe(true)
  expect(await isOdd(6, 0n, 9_000_000_001n)).toBe(false)
})

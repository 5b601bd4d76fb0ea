// Browser: Debian's Chromium, and a page that fails its test if anything on it breaks the policy or is written to the console.

import { existsSync } from 'node:fs'
import { AxeBuilder } from '@axe-core/playwright'
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core'
import { expect, onTestFinished } from 'vitest'

const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium'
/** Nothing but the page under test talks to the network. */
const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--no-first-run',
]

/** False, with a line that says so, where Chromium is missing. Where services are required, the tests run and fail. */
export function hasBrowser(): boolean {
  if (existsSync(CHROMIUM) || process.env.REQUIRE_SERVICES === '1') return true
  console.log(`Chromium is not at ${CHROMIUM}: the tests of the dashboard's pages are skipped.`)
  return false
}

export function openBrowser(): Promise<Browser> {
  return chromium.launch({ executablePath: CHROMIUM, args: FLAGS })
}

export const WIDTHS = [390, 1440] as const
export const SCHEMES = ['light', 'dark'] as const

/** A page of a fresh browser profile. What it writes to the console as an error fails the test, but for statuses that are expected. */
export async function openPage(
  browser: Browser,
  options: BrowserContextOptions = {},
  expectedStatuses: readonly number[] = [],
): Promise<Page> {
  const context = await browser.newContext({ viewport: { width: 1440, height: 1000 }, ...options })
  const page = await context.newPage()
  const errors: string[] = []
  page.on('console', (message) => {
    const text = message.text()
    if (message.type() !== 'error' && !/Content Security Policy/.test(text)) return
    if (!expectedStatuses.some((status) => text.includes(`status of ${status} `))) errors.push(text)
  })
  page.on('pageerror', (error) => errors.push(`${error}`))
  onTestFinished(async () => {
    await context.close()
    expect(errors).toEqual([])
  })
  return page
}

/** What axe finds on the page that is serious or critical. */
export async function seriousFindings(page: Page): Promise<readonly string[]> {
  const { violations } = await new AxeBuilder({ page }).analyze()
  return violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .flatMap(({ id, nodes }) =>
      nodes.map(({ target, failureSummary }) => `${id} ${target.join(' ')}: ${failureSummary}`),
    )
}

// The dashboard's pages in Chromium, on a gateway in a process of its own: as a person uses them, and as an attacker would.

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parse } from 'csv-parse/sync'
import OpenAI from 'openai'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { GatewayProcess } from '../app/child.ts'
import { temporaryFolder } from '../stores/folder.ts'
import { ADMIN_KEY } from '../support/client-and-ledger.ts'
import { hasBrowser, openBrowser, openPage, SCHEMES, seriousFindings, WIDTHS } from './browser.ts'

const SIMULATED = { model: 'sim/echo', messages: [{ role: 'user' as const, content: 'hello' }] }

let browser: Browser
beforeAll(async () => {
  if (hasBrowser()) browser = await openBrowser()
})
afterAll(() => browser?.close())

/** A gateway that is gone after the test, once its pages are closed. */
async function startGateway(env: Readonly<Record<string, string>> = {}): Promise<GatewayProcess> {
  const gateway = await GatewayProcess.start({
    DATABASE_URL: `sqlite:${join(temporaryFolder(), 'ledger.db')}`,
    ...env,
  })
  onTestFinished(async () => void (await gateway.kill('SIGKILL')))
  return gateway
}

async function admin<Answer>(gateway: GatewayProcess, method: string, path: string, body?: unknown): Promise<Answer> {
  const answer = await fetch(gateway.url + path, {
    method,
    headers: { authorization: `Bearer ${ADMIN_KEY}`, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
  expect(answer.ok, `${method} ${path}`).toBe(true)
  return answer.json() as Promise<Answer>
}

async function makeKey(gateway: GatewayProcess, id: string, limits: object = {}): Promise<string> {
  const { key } = await admin<{ key: string }>(gateway, 'POST', '/admin/keys', { name: id, limits })
  return key
}

/** Localhost by name: a browser keeps a secure cookie for it. */
const dashboardOf = ({ port }: GatewayProcess) => `http://localhost:${port}/dashboard`

async function signIn(page: Page, key: string): Promise<void> {
  await page.getByLabel('Key', { exact: true }).fill(key)
  await page.getByRole('button', { name: 'Sign in' }).click()
  await page.getByRole('heading', { name: 'Now', level: 1 }).waitFor()
}

describe.skipIf(!hasBrowser())('the dashboard', () => {
  it('shows a first run how to make a call, and the call as it comes', async () => {
    const gateway = await startGateway({ ADMIN_KEY: '' })
    const page = await openPage(browser)
    await page.goto(`${gateway.url}/`)
    expect(page.url()).toBe(`${gateway.url}/dashboard`)
    await page.getByRole('heading', { name: 'Bursar is running. Make the first call.' }).waitFor()
    await expect.poll(() => page.locator('pre').textContent()).toContain(`curl -s ${gateway.url}/v1/chat/completions`)
    await page.getByRole('button', { name: 'Or send it from here' }).click()
    await page.getByRole('cell', { name: 'sim/echo' }).waitFor({ timeout: 3_000 })
    await page.getByText('All well.').waitFor()
  })

  it('asks for a key, says what is wrong with one, and shows the gauge of a limit as it fills', async () => {
    const gateway = await startGateway()
    const secret = await makeKey(gateway, 'web', { requestsPerDay: 3 })
    const page = await openPage(browser, {}, [401])
    await page.goto(dashboardOf(gateway))
    await page.getByLabel('Key', { exact: true }).fill('wrong')
    await page.getByRole('button', { name: 'Sign in' }).click()
    await expect.poll(() => page.getByRole('alert').textContent()).toMatch(/not known/)
    await signIn(page, ADMIN_KEY)
    const openai = new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey: secret, maxRetries: 0 })
    await openai.chat.completions.create(SIMULATED)
    const gauge = page.getByRole('meter', { name: /web, key/ })
    await expect.poll(() => gauge.getAttribute('aria-valuenow'), { timeout: 5_000 }).toBe('1')
    await openai.chat.completions.create(SIMULATED)
    await openai.chat.completions.create(SIMULATED)
    await expect(openai.chat.completions.create(SIMULATED)).rejects.toMatchObject({ status: 429 })
    await page
      .getByRole('cell', { name: /refused/ })
      .first()
      .waitFor({ timeout: 5_000 })
    const refusedRow = page.getByRole('row').filter({ hasText: 'refused' }).last()
    await refusedRow.getByRole('link').click()
    await page.getByRole('heading', { name: 'Refused before it was sent. It cost nothing.' }).waitFor()
    expect(await page.getByText('What would have fitted').count()).toBe(1)
    await page.getByRole('button', { name: '← Back' }).click()
    await page.getByRole('link', { name: 'Calls' }).first().click()
    await page.getByRole('heading', { name: 'Calls', level: 1 }).waitFor()
    const download = page.waitForEvent('download')
    await page.getByRole('link', { name: 'CSV' }).click()
    const table = await readFile(await (await download).path(), 'utf8')
    const { records } = await admin<{ records: readonly { id: string }[] }>(gateway, 'GET', '/token-usage/all')
    const [, ...rows] = parse(table) as string[][]
    expect(rows.map(([id]) => id)).toEqual(records.map(({ id }) => id))
    expect(rows).toHaveLength(3)
    await page.getByRole('row').nth(1).getByRole('link').click()
    await page.getByLabel('It did cost, in dollars').fill('1.25')
    await page.getByLabel('Why').fill('the invoice')
    await page.getByRole('button', { name: 'Correct' }).click()
    await page.getByRole('cell', { name: 'the invoice' }).waitFor()
    await expect.poll(() => page.getByText('$1.25').count()).toBeGreaterThan(0)
    await page.getByRole('link', { name: 'Usage' }).first().click()
    await page.getByRole('button', { name: 'Key', exact: true }).click()
    await expect.poll(() => page.url()).toContain('by=key')
    await page.getByRole('rowheader', { name: 'web' }).waitFor()
    await page.getByRole('button', { name: 'Sign out' }).first().click()
    await page.getByRole('heading', { name: 'Sign in to Bursar' }).waitFor()
  })

  it('shows the holder of a key only the calls and limits of that key', async () => {
    const gateway = await startGateway()
    const [mine, theirs] = [await makeKey(gateway, 'mine'), await makeKey(gateway, 'theirs', { requestsPerDay: 9 })]
    for (const [apiKey, user] of [
      [mine, 'me'],
      [theirs, 'somebody-else'],
    ] as const)
      await new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey }).chat.completions.create(SIMULATED, {
        headers: { 'x-bursar-user': user },
      })
    const page = await openPage(browser)
    await page.goto(dashboardOf(gateway))
    await signIn(page, mine)
    await page.getByText('mine · me').first().waitFor()
    expect(await page.getByText('somebody-else').count()).toBe(0)
    expect(await page.getByText('theirs').count()).toBe(0)
  })

  it('shows hostile names as they are', async () => {
    const gateway = await startGateway({ ADMIN_KEY: '' })
    const name = '<img src=x onerror=alert(1)>"\'`</script>'
    const page = await openPage(browser)
    page.on('dialog', (dialog) => {
      throw new Error(`A name ran as code: ${dialog.message()}`)
    })
    const openai = new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey: 'none' })
    const { id } = await openai.chat.completions.create(SIMULATED, { headers: { 'x-bursar-user': name } })
    await page.goto(`${gateway.url}/dashboard`)
    await page.getByText(name).first().waitFor()
    expect(await page.locator('img').count()).toBe(0)
    expect(id).toBeTruthy()
    await page.getByRole('row').filter({ hasText: 'sim/echo' }).getByRole('link').click()
    await page.getByText(name).first().waitFor()
  })

  it('is used by keyboard alone', async () => {
    const gateway = await startGateway()
    const page = await openPage(browser)
    await page.goto(dashboardOf(gateway))
    await page.getByLabel('Key', { exact: true }).waitFor()
    await page.keyboard.type(ADMIN_KEY)
    await page.keyboard.press('Enter')
    await page.getByRole('heading', { name: 'Now', level: 1 }).waitFor()
    await page.keyboard.press('?')
    await page.getByRole('dialog', { name: 'Keyboard' }).waitFor()
    await page.keyboard.press('Escape')
    await page.getByRole('dialog').waitFor({ state: 'detached' })
    await page.keyboard.press('p')
    await page.getByText('Paused.', { exact: true }).waitFor()
    await page.keyboard.press('p')
    await page.keyboard.press('/')
    await expect.poll(() => page.evaluate(() => document.activeElement?.id)).toBe('find')
  })

  it('says that it is not connected while the gateway is gone, and keeps its figures', async () => {
    const gateway = await startGateway({ ADMIN_KEY: '' })
    const page = await openPage(browser)
    page.removeAllListeners('console')
    await page.goto(`${gateway.url}/dashboard`)
    await page.getByText('Spent today').waitFor()
    await gateway.kill('SIGKILL')
    await page.getByText('Not connected.', { exact: true }).waitFor()
    expect(await page.getByText('Spent today').count()).toBe(1)
  })

  it('is fit for every reader, in light and dark, narrow and wide', async () => {
    const gateway = await startGateway()
    const secret = await makeKey(gateway, 'web', { requestsPerDay: 2 })
    const openai = new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey: secret, maxRetries: 0 })
    for (let count = 0; count < 3; count++) await openai.chat.completions.create(SIMULATED).catch(() => {})
    for (const colorScheme of SCHEMES)
      for (const width of WIDTHS) {
        const page = await openPage(browser, {
          colorScheme,
          viewport: { width, height: 900 },
          reducedMotion: 'reduce',
        })
        await page.goto(dashboardOf(gateway))
        await page.getByLabel('Key', { exact: true }).waitFor()
        expect(await seriousFindings(page), `sign-in, ${colorScheme}, ${width}`).toEqual([])
        await signIn(page, ADMIN_KEY)
        await page
          .getByRole('cell', { name: /refused/ })
          .first()
          .waitFor()
        expect(await seriousFindings(page), `now, ${colorScheme}, ${width}`).toEqual([])
        expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(width)
        await page.getByRole('row').filter({ hasText: 'refused' }).last().getByRole('link').click()
        await page.getByText('What would have fitted').waitFor()
        expect(await seriousFindings(page), `call, ${colorScheme}, ${width}`).toEqual([])
        for (const [name, ready] of [
          ['usage', 'Latency and errors'],
          ['calls', 'settled, newest first'],
        ] as const) {
          await page.goto(`${dashboardOf(gateway)}/${name}`)
          await page.getByText(ready).waitFor()
          await page.getByRole('rowheader').or(page.getByRole('cell')).first().waitFor()
          expect(await seriousFindings(page), `${name}, ${colorScheme}, ${width}`).toEqual([])
          expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(width)
        }
      }
  }, 60_000)

  it('cannot be shown in a frame, and runs no script but its own', async () => {
    const gateway = await startGateway({ ADMIN_KEY: '' })
    const page = await openPage(browser)
    page.removeAllListeners('console')
    await page.goto(`${gateway.url}/dashboard`)
    const isRun = await page.evaluate(() => {
      const script = document.createElement('script')
      script.textContent = 'window.ran = true'
      document.body.append(script)
      return 'ran' in window
    })
    expect(isRun).toBe(false)
    await page.setContent(`<iframe src="${gateway.url}/dashboard"></iframe>`)
    await expect.poll(() => page.frames().length).toBe(2)
    expect(await page.frames()[1]?.locator('#root').count()).toBe(0)
  })
})

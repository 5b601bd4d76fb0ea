// The dashboard's address: pages that are never kept, assets that are kept for good, one strict policy, and no other file.

import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { brotliCompressSync, gzipSync } from 'node:zlib'
import { Hono } from 'hono'
import { describe, expect, it, test } from 'vitest'
import { dashboardRoutes } from '../../src/http/dashboard.ts'
import { temporaryFolder } from '../stores/folder.ts'

const SCRIPT = 'console.log("dashboard")\n'.repeat(20)

function build(): URL {
  const folder = temporaryFolder()
  mkdirSync(join(folder, 'assets'))
  writeFileSync(
    join(folder, 'index.html'),
    '<script src="./assets/index-1.js"></script><link href="./assets/index-2.css">',
  )
  writeFileSync(join(folder, 'secret.txt'), 'not an asset')
  for (const name of ['index-1.js', 'index-2.css']) {
    writeFileSync(join(folder, 'assets', name), SCRIPT)
    writeFileSync(join(folder, 'assets', `${name}.br`), brotliCompressSync(SCRIPT))
    writeFileSync(join(folder, 'assets', `${name}.gz`), gzipSync(SCRIPT))
  }
  return pathToFileURL(`${folder}/`)
}

const ask = (path: string, headers: Readonly<Record<string, string>> = {}, app: Hono = dashboardRoutes(build())) =>
  Promise.resolve(app.request(path, { headers }))

describe('a page', () => {
  it.each(['/dashboard', '/dashboard/', '/dashboard/calls/0198'])(
    'at %s is never kept, and has a strict policy',
    async (path) => {
      const answer = await ask(path)
      expect(answer.status).toBe(200)
      expect(Object.fromEntries(answer.headers)).toMatchObject({
        'content-type': 'text/html; charset=utf-8',
        'cache-control': 'no-store',
        'x-content-type-options': 'nosniff',
        'x-frame-options': 'DENY',
        'content-security-policy':
          "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
      })
      expect(await answer.text()).toBe(
        '<script src="/dashboard/assets/index-1.js"></script><link href="/dashboard/assets/index-2.css">',
      )
    },
  )

  it('finds its assets below the prefix of an app', async () => {
    const app = new Hono().route('/llm/:tenant', dashboardRoutes(build()))
    const answer = await ask('/llm/acme/dashboard', {}, app)
    expect(await answer.text()).toContain('"/llm/acme/dashboard/assets/index-1.js"')
    expect((await ask('/llm/acme/dashboard/assets/index-1.js', {}, app)).status).toBe(200)
    const redirect = await ask('/llm/acme', { accept: 'text/html' }, app)
    expect(redirect.headers.get('location')).toBe('/llm/acme/dashboard')
  })

  it('says how to build the dashboard if that was not done', async () => {
    const answer = await ask('/dashboard', {}, dashboardRoutes(pathToFileURL(`${temporaryFolder()}/`)))
    expect([answer.status, await answer.text()]).toEqual([503, expect.stringContaining('npm run dashboard')])
  })
})

describe('an asset', () => {
  it.each([
    ['br, gzip', 'br'],
    ['gzip, deflate', 'gzip'],
    ['br;q=0, gzip;q=0.5', 'gzip'],
    ['gzip;q=0.0, br;q=0', null],
    ['brotli', null],
    ['', null],
  ])('is compressed if the client accepts that: %s', async (accepted, encoding) => {
    const answer = await ask('/dashboard/assets/index-1.js', { 'accept-encoding': accepted })
    expect(answer.headers.get('content-encoding')).toBe(encoding)
    expect(answer.headers.get('cache-control')).toBe('public, max-age=31536000, immutable')
    expect(answer.headers.get('vary')).toBe('accept-encoding')
    const expected = { br: brotliCompressSync(SCRIPT), gzip: gzipSync(SCRIPT) }[encoding ?? ''] ?? Buffer.from(SCRIPT)
    expect(Buffer.from(await answer.arrayBuffer())).toEqual(expected)
  })

  it.each([
    '/dashboard/assets/none.js',
    '/dashboard/assets/index-1.js.br',
    '/dashboard/assets/..%2fsecret.txt',
    '/dashboard/assets/%2e%2e%2fsecret.txt',
    '/dashboard/assets/..%5csecret.txt',
    '/dashboard/assets/../assets/..%2f..%2fsecret.txt',
  ])('%s is not there', async (path) => {
    const answer = await ask(path)
    expect(answer.status).toBe(404)
    expect(await answer.text()).not.toContain('not an asset')
  })
})

test('browsers that open the gateway are sent to the dashboard, and programs are not', async () => {
  const app = dashboardRoutes(build()).get('/', (c) => c.text('for programs'))
  const browser = await ask('/', { accept: 'text/html,application/xhtml+xml,*/*;q=0.8' }, app)
  expect([browser.status, browser.headers.get('location')]).toEqual([302, '/dashboard'])
  for (const accept of ['*/*', 'application/json', ''])
    expect(await (await ask('/', { accept }, app)).text()).toBe('for programs')
  expect((await ask('/api/metrics/dashboard', {}, app)).headers.get('location')).toBe('/dashboard')
})

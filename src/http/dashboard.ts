// Dashboard: GET /dashboard and its assets, as the build left them. Without a build, the address says how to make one.

import { readdirSync, readFileSync } from 'node:fs'
import { type Context, Hono } from 'hono'
import { pathBelowMount } from './hono-request.ts'

/** Where the build puts the dashboard: beside the compiled code, and for a checkout in the same place. */
const FOLDER = new URL('../../dist/dashboard/', import.meta.url)

/** Strict: no script, style or connection but the gateway's own, and no page may show the dashboard in a frame. */
const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
const PAGE_HEADERS = {
  'content-security-policy': POLICY,
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
}
const ONE_YEAR_S = 31_536_000

const TYPES: Readonly<Record<string, string>> = {
  js: 'text/javascript; charset=utf-8',
  css: 'text/css; charset=utf-8',
  svg: 'image/svg+xml',
}

const NOT_BUILT = `The dashboard is not built. In a checkout, \`npm ci\` or \`npm run dashboard\` builds it; the package comes with it.
`

/** An asset in each form in which the build left it. */
interface Asset {
  readonly type: string
  readonly plain: Buffer<ArrayBuffer>
  readonly encoded: Readonly<Record<'br' | 'gzip', Buffer<ArrayBuffer>>>
}

interface Dashboard {
  /** The page, with addresses of assets that begin with `./assets/`. */
  readonly page: string
  /** By name. Only these are served, so no path leads anywhere else. */
  readonly assets: ReadonlyMap<string, Asset>
}

/** Undefined if there is no build. */
function readDashboard(folder: URL): Dashboard | undefined {
  try {
    const page = readFileSync(new URL('index.html', folder), 'utf8')
    const assets = new Map<string, Asset>()
    const files = new URL('assets/', folder)
    for (const name of readdirSync(files)) {
      const type = TYPES[name.slice(name.lastIndexOf('.') + 1)]
      if (type === undefined) continue
      const read = (end: string) => readFileSync(new URL(`${name}${end}`, files))
      assets.set(name, { type, plain: read(''), encoded: { br: read('.br'), gzip: read('.gz') } })
    }
    return { page, assets }
  } catch {
    return undefined
  }
}

/** The pages of the dashboard, and the addresses that lead there. The files are read with the first request, and stay in memory. */
export function dashboardRoutes(folder = FOLDER): Hono {
  let dashboard: Dashboard | undefined
  const app = new Hono()
  const answerPage = (c: Context) => {
    dashboard ??= readDashboard(folder)
    if (!dashboard)
      return new Response(NOT_BUILT, { status: 503, headers: { 'content-type': 'text/plain; charset=utf-8' } })
    const page = dashboard.page.replaceAll('"./assets/', `"${prefixOf(c)}/dashboard/assets/`)
    return new Response(page, {
      headers: { ...PAGE_HEADERS, 'content-type': 'text/html; charset=utf-8', 'cache-control': 'no-store' },
    })
  }
  app.get('/dashboard/assets/:name', (c) => {
    dashboard ??= readDashboard(folder)
    const asset = dashboard?.assets.get(c.req.param('name'))
    if (!asset) return new Response('There is no such file.\n', { status: 404, headers: PAGE_HEADERS })
    const encoding = encodingOf(c.req.header('accept-encoding') ?? '')
    return new Response(encoding ? asset.encoded[encoding] : asset.plain, {
      headers: {
        ...PAGE_HEADERS,
        'content-type': asset.type,
        'cache-control': `public, max-age=${ONE_YEAR_S}, immutable`,
        vary: 'accept-encoding',
        ...(encoding ? { 'content-encoding': encoding } : {}),
      },
    })
  })
  app.get('/dashboard', answerPage)
  app.get('/dashboard/*', answerPage)
  app.get('/api/metrics/dashboard', (c) => c.redirect(`${prefixOf(c)}/dashboard`))
  app.get('/', async (c, next) => {
    if (!wantsPage(c)) return next()
    return c.redirect(`${new URL(c.req.url).pathname.replace(/\/$/, '')}/dashboard`)
  })
  return app
}

/** The path below which the gateway is mounted; empty for none. */
function prefixOf(c: Context): string {
  const { pathname } = new URL(c.req.url)
  return pathname.slice(0, pathname.length - pathBelowMount(c).length)
}

/** Browsers ask for HTML first; curl and SDKs for anything. */
function wantsPage(c: Context): boolean {
  return /^\s*(text\/html|application\/xhtml\+xml)\b/.test(c.req.header('accept') ?? '')
}

function encodingOf(accepted: string): 'br' | 'gzip' | undefined {
  const accepts = (name: string) =>
    new RegExp(`(^|,)\\s*${name}\\s*(?!;\\s*q=0(\\.0*)?\\s*(,|$))(;|,|$)`).test(accepted)
  return accepts('br') ? 'br' : accepts('gzip') ? 'gzip' : undefined
}

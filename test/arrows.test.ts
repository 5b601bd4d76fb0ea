// Who may import whom. The arrows of ARCHITECTURE.md, read from the sources themselves.

import { globSync, readFileSync } from 'node:fs'
import { posix } from 'node:path'
import { describe, expect, test } from 'vitest'

const ROOT = new URL('../', import.meta.url)
const STRING = /'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|`(?:\\.|[^`\\])*`/
const COMMENT = /\/\/[^\n]*|\/\*[\s\S]*?\*\//
const STRING_OR_COMMENT = new RegExp(`(${STRING.source})|${COMMENT.source}`, 'g')
/** Also type-only, side-effect and dynamic ones, and files that a worker is started from. */
const IMPORT =
  /^\s*(?:import|export)\s(?:[^'";]*?\sfrom\s*)?['"]([^'"]+)['"]|\bimport\s*\(\s*['"]([^'"]+)['"]|\bnew URL\(\s*['"](\.[^'"]*\.ts)['"]/gm

interface Source {
  /** From `src/`: `core/money.ts`. */
  readonly path: string
  /** Without comments. */
  readonly code: string
  /** Sources by their path, packages by their name. */
  readonly imports: readonly string[]
}

const SOURCES = globSync('src/**/*.ts', { cwd: ROOT }).map((file) => sourceOf(file.replaceAll('\\', '/')))
const BY_PATH = new Map(SOURCES.map((source) => [source.path, source]))

function sourceOf(file: string): Source {
  const code = codeOf(readFileSync(new URL(file, ROOT), 'utf8'))
  const path = file.slice('src/'.length)
  return { path, code, imports: importsOf(code).map((target) => resolved(path, target)) }
}

function codeOf(text: string): string {
  return text.replace(STRING_OR_COMMENT, (whole, string: string | undefined) => (string === undefined ? ' ' : whole))
}

function importsOf(code: string): string[] {
  return [...code.matchAll(IMPORT)].map(([, plain, dynamic, worker]) => plain ?? dynamic ?? worker ?? '')
}

function resolved(from: string, target: string): string {
  return target.startsWith('.') ? posix.join(posix.dirname(from), target) : target
}

function folderOf(path: string): string {
  return path.includes('/') ? path.slice(0, path.indexOf('/')) : ''
}

/** Imports that a rule does not allow, as `from → to`. */
function forbidden(sources: readonly Source[], allows: (target: string, source: Source) => boolean): string[] {
  return sources.flatMap((source) =>
    source.imports.filter((target) => !allows(target, source)).map((target) => `${source.path} → ${target}`),
  )
}

const isSource = (target: string) => BY_PATH.has(target)
const within = (folder: string) => SOURCES.filter(({ path }) => folderOf(path) === folder)
/** Sources whose code says this, comments aside. */
const saying = (words: RegExp) => SOURCES.filter(({ code }) => words.test(code)).map(({ path }) => path)

test('the sources are read, and every import of ours leads to one of them', () => {
  expect(SOURCES.length).toBeGreaterThan(60)
  expect(SOURCES.flatMap(({ imports }) => imports).length).toBeGreaterThan(200)
  expect(forbidden(SOURCES, (target) => isSource(target) || !/\.ts$/.test(target))).toEqual([])
})

describe('the reader of imports', () => {
  test.each([
    ["import { a } from './a.ts'", ['./a.ts']],
    ["import type { A } from './a.ts'", ['./a.ts']],
    ["import {\n  a,\n  type B,\n} from './a.ts'\nimport b from 'b'", ['./a.ts', 'b']],
    ["export * from './a.ts'\nexport type { A } from './b.ts'", ['./a.ts', './b.ts']],
    ["import './a.ts'", ['./a.ts']],
    ["const a = await import('./a.ts')", ['./a.ts']],
    ["new Worker(new URL('./a.ts', import.meta.url))", ['./a.ts']],
    ["// import './a.ts'\n/* import './b.ts' */\nconst url = 'https://x' // import './c.ts'", []],
    ["export const a = 'b'\nexport function from() {}", []],
  ])('finds what %j imports', (text, targets) => {
    expect(importsOf(codeOf(text))).toEqual(targets)
  })
})

describe('folders', () => {
  test.each([
    ['core', ['core']],
    ['wire', ['wire', 'core']],
    ['providers', ['providers', 'wire', 'core']],
    ['translate', ['translate', 'wire', 'core']],
    ['stores', ['stores', 'core']],
    ['exporters', ['exporters', 'core']],
    ['patterns', ['patterns', 'core']],
  ])('%s imports only from %j', (folder, allowed) => {
    expect(forbidden(within(folder), (target) => !isSource(target) || allowed.includes(folderOf(target)))).toEqual([])
  })

  test('core imports no package and nothing of Node', () => {
    expect(forbidden(within('core'), isSource)).toEqual([])
  })

  test.each(['providers', 'stores', 'exporters', 'patterns', 'routes'])(
    'files in %s do not know each other, but for their type, what they share, and parts of their own',
    (folder) => {
      const shared = [
        'provider.ts',
        'store.ts',
        'registry.ts',
        'exporter.ts',
        'pattern.ts',
        'forward.ts',
        'pooled-fetch.ts',
        'sdk-call.ts',
        'sdk-post.ts',
        'migrations.ts',
      ]
      const family = (path: string) => posix.basename(path, '.ts').split('-')[0]
      const siblings = within(folder).filter(({ path }) => path !== `${folder}/index.ts`)
      expect(
        forbidden(
          siblings,
          (target, { path }) =>
            folderOf(target) !== folder ||
            !isSource(target) ||
            shared.includes(posix.basename(target)) ||
            family(target) === family(path),
        ),
      ).toEqual([])
    },
  )

  test('of exporters, patterns, providers and stores are known from outside by their index, types and shared parts', () => {
    const open =
      /^(?:providers\/(?:index|provider|prices)|stores\/(?:index|store|registry)|exporters\/(?:index|exporter)|patterns\/(?:index|pattern))\.ts$/
    const closed = ['providers', 'stores', 'exporters', 'patterns']
    const outside = (target: string, { path }: Source) =>
      folderOf(target) === folderOf(path) || !closed.includes(folderOf(target))
    expect(
      forbidden(SOURCES, (target, source) => !isSource(target) || outside(target, source) || open.test(target)),
    ).toEqual([])
  })
})

test('no imports go in a circle, types included', () => {
  const done = new Set<string>()
  const circles: string[] = []
  const visit = (path: string, trail: readonly string[]) => {
    if (trail.includes(path)) circles.push([...trail.slice(trail.indexOf(path)), path].join(' → '))
    if (done.has(path) || trail.includes(path)) return
    for (const target of BY_PATH.get(path)?.imports ?? []) if (isSource(target)) visit(target, [...trail, path])
    done.add(path)
  }
  for (const { path } of SOURCES) visit(path, [])
  expect(circles).toEqual([])
})

describe('only these know', () => {
  const users = (uses: RegExp) =>
    SOURCES.filter(({ imports }) => imports.some((target) => uses.test(target))).map(({ path }) => path)

  test('the web framework: routes and the edge', () => {
    const edge = ['gate.ts', 'app.ts', 'main.ts', 'serve.ts', 'index.ts', 'middleware.ts', 'web.ts']
    expect(users(/^@?hono(?:\/|$)/).filter((path) => folderOf(path) !== 'routes' && !edge.includes(path))).toEqual([])
  })

  test('SQLite: stores', () => {
    expect(users(/^node:sqlite$/).filter((path) => folderOf(path) !== 'stores')).toEqual([])
  })

  test('the HTTP client: the one that forwards', () => {
    expect(users(/^undici$/)).toEqual(['providers/forward.ts'])
  })

  test('an SDK with a transport of its own: nobody', () => {
    expect(users(/^@google\//)).toEqual([])
  })

  test.each([
    ['openai', 'providers/openai.ts'],
    ['@anthropic-ai/sdk', 'providers/anthropic.ts'],
  ])('the SDK %s: its provider', (name, file) => {
    expect(users(new RegExp(`^${name}(?:/|$)`))).toEqual([file])
  })

  test.each([
    ['the clock', /\bDate\.now\b|\bperformance\.|\bnew Date\(\)|\bhrtime\b/],
    ['randomness', /\bMath\.random\b|\bgetRandomValues\b|\bimport \{[^}]*\brandom[A-Z]/],
    ['the environment', /\bprocess\.env\b|\bimport\.meta\.env\b/],
  ])('%s: main and system', (_what, words) => {
    expect(saying(words).filter((path) => !['main.ts', 'system.ts'].includes(path))).toEqual([])
  })

  test.each([/\bDate\.now\b|\bperformance\b/, /\bMath\.random\b/, /\bprocess\b/, /\bnew Date\(\)/])(
    'none in core: %s',
    (words) => {
      expect(saying(words).filter((path) => folderOf(path) === 'core')).toEqual([])
    },
  )

  test('global fetch: nobody', () => {
    expect(saying(/(?<![.\w])fetch\(|\bglobalThis\.fetch\b/)).toEqual([])
  })
})

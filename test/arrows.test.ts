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

const SOURCES = globSync('src/**/*.{ts,tsx}', { cwd: ROOT }).map((file) => sourceOf(file.replaceAll('\\', '/')))
const BY_PATH = new Map(SOURCES.map((source) => [source.path, source]))

function sourceOf(file: string): Source {
  const code = codeOf(readFileSync(new URL(file, ROOT), 'utf8'))
  const path = file.slice('src/'.length)
  return { path, code, imports: importsOf(code).map((target) => resolveImport(path, target)) }
}

function codeOf(text: string): string {
  return text.replace(STRING_OR_COMMENT, (whole, string: string | undefined) => (string === undefined ? ' ' : whole))
}

function importsOf(code: string): string[] {
  return [...code.matchAll(IMPORT)].map(([, plain, dynamic, worker]) => plain ?? dynamic ?? worker ?? '')
}

function resolveImport(from: string, target: string): string {
  return target.startsWith('.') ? posix.join(posix.dirname(from), target) : target
}

function folderOf(path: string): string {
  return path.includes('/') ? path.slice(0, path.indexOf('/')) : ''
}

/** Imports that a rule does not allow, as `from → to`. */
function forbiddenImports(sources: readonly Source[], allows: (target: string, source: Source) => boolean): string[] {
  return sources.flatMap((source) =>
    source.imports.filter((target) => !allows(target, source)).map((target) => `${source.path} → ${target}`),
  )
}

const isSource = (target: string) => BY_PATH.has(target)
const sourcesIn = (folder: string) => SOURCES.filter(({ path }) => folderOf(path) === folder)
/** Sources whose code says this, comments aside. */
const sourcesMatching = (words: RegExp) => SOURCES.filter(({ code }) => words.test(code)).map(({ path }) => path)
/** Those that run in the gateway's process. */
const gatewaySourcesMatching = (words: RegExp) =>
  sourcesMatching(words).filter((path) => folderOf(path) !== 'dashboard')

test('the sources are read, and every import of ours leads to one of them', () => {
  expect(SOURCES.length).toBeGreaterThan(60)
  expect(SOURCES.flatMap(({ imports }) => imports).length).toBeGreaterThan(200)
  expect(forbiddenImports(SOURCES, (target) => isSource(target) || !/\.tsx?$/.test(target))).toEqual([])
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

/** The rows of the table in ARCHITECTURE.md whose head begins so, cells without backticks and trailing slashes. */
function tableOf(head: string): readonly (readonly string[])[] {
  const lines = readFileSync(new URL('ARCHITECTURE.md', ROOT), 'utf8').split('\n')
  const start = lines.findIndex((line) => line.startsWith(head)) + 2
  if (start < 2) throw new Error(`ARCHITECTURE.md has no table that begins with "${head}".`)
  const length = lines.slice(start).findIndex((line) => !line.startsWith('|'))
  return lines.slice(start, start + length).map((line) =>
    line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim().replace(/^`|\/?`$/g, '')),
  )
}

const listOf = (cell = '') => cell.split(',').map((name) => name.trim())
const FOLDERS = tableOf('| folder | what |').map(([folder = '', , imports = ''], index, rows) => ({
  folder,
  imports:
    imports === 'nothing'
      ? []
      : imports === 'all above'
        ? rows.slice(0, index).map(([above = '']) => above)
        : listOf(imports),
}))
const KINDS = tableOf('| folder | each for itself |').map(([folder = '', alone, shared]) => ({
  folder,
  alone: listOf(alone),
  shared: listOf(shared),
}))
/** The thing in a folder that a file belongs to: `sqlite` for `stores/sqlite/rows.ts`, `provider` for `providers/provider.ts`. */
const thingOf = (path: string) => (path.split('/')[1] ?? '').replace(/\.ts$/, '')

describe('folders', () => {
  test('those of the table are those there are', () => {
    const found = new Set(SOURCES.map(({ path }) => folderOf(path)))
    found.delete('')
    expect(FOLDERS.map(({ folder }) => folder).toSorted()).toEqual([...found].toSorted())
  })

  test.each(FOLDERS)('$folder may import only folders of rows above its own', ({ folder, imports }) => {
    const names = FOLDERS.map((row) => row.folder)
    const above = names.slice(0, names.indexOf(folder))
    expect(imports.filter((name) => !above.includes(name))).toEqual([])
  })

  test('beside them stand the process and the library alone', () => {
    expect(sourcesIn('').map(({ path }) => path)).toEqual(['index.ts', 'main.ts'])
  })

  test.each(FOLDERS)('$folder imports only from itself and $imports', ({ folder, imports }) => {
    const allowed = [folder, ...imports]
    expect(
      forbiddenImports(sourcesIn(folder), (target) => !isSource(target) || allowed.includes(folderOf(target))),
    ).toEqual([])
  })

  test('core imports no package and nothing of Node', () => {
    expect(forbiddenImports(sourcesIn('core'), isSource)).toEqual([])
  })
})

test('the dashboard takes types alone from other folders', () => {
  const values = sourcesIn('dashboard').flatMap(({ path, code }) =>
    [...code.matchAll(/^\s*import\s+(?!type\b)[^'"]*from\s+'(\.\.[^']*)'/gm)]
      .filter(([, target = '']) => folderOf(resolveImport(path, target)) !== 'dashboard')
      .map(([statement]) => `${path}: ${statement.trim()}`),
  )
  expect(values).toEqual([])
})

test('folders of things that do not know each other are folders of the table', () => {
  const names = FOLDERS.map(({ folder }) => folder)
  expect(KINDS.length).toBeGreaterThan(0)
  expect(KINDS.filter(({ folder }) => !names.includes(folder))).toEqual([])
})

describe.each(KINDS)('in $folder', ({ folder, alone, shared }) => {
  const files = sourcesIn(folder).filter(({ path }) => path !== `${folder}/index.ts`)

  test('everything stands in the table', () => {
    expect([...new Set(files.map(({ path }) => thingOf(path)))].toSorted()).toEqual([...alone, ...shared].toSorted())
  })

  test('what stands for itself knows itself and what is shared, which knows none of it', () => {
    const allows = (target: string, { path }: Source) =>
      folderOf(target) !== folder || thingOf(target) === thingOf(path) || shared.includes(thingOf(target))
    expect(forbiddenImports(files, allows)).toEqual([])
  })

  test('from outside, only its index, what is shared, and the thing of the same name are known', () => {
    const allows = (target: string, { path }: Source) =>
      folderOf(target) !== folder ||
      folderOf(path) === folder ||
      ['index', thingOf(path), ...shared].includes(thingOf(target))
    expect(forbiddenImports(SOURCES, allows)).toEqual([])
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

  test('the web framework: http and the edge', () => {
    const outside = users(/^@?hono(?:\/|$)/).filter((path) => !['http', 'app', ''].includes(folderOf(path)))
    expect(outside).toEqual([])
  })

  test('SQLite: its store', () => {
    const paths = users(/^node:sqlite$/)
    expect(paths.length).toBeGreaterThan(0)
    expect(paths.filter((path) => !path.startsWith('stores/sqlite/'))).toEqual([])
  })

  test('the HTTP client: the one that forwards, and the one that sends alerts', () => {
    expect(users(/^undici$/).toSorted()).toEqual(['alerts/http-post.ts', 'providers/transport/http-forwarder.ts'])
  })

  test('an SDK with a transport of its own: no file', () => {
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
    expect(gatewaySourcesMatching(words).filter((path) => !['main.ts', 'app/system.ts'].includes(path))).toEqual([])
  })

  test.each([/\bDate\.now\b|\bperformance\b/, /\bMath\.random\b/, /\bprocess\b/, /\bnew Date\(\)/])(
    'none in core: %s',
    (words) => {
      expect(sourcesMatching(words).filter((path) => folderOf(path) === 'core')).toEqual([])
    },
  )

  test('global fetch: main, which gives it to the commands', () => {
    expect(gatewaySourcesMatching(/(?<![.\w#])fetch\(|\bglobalThis\.fetch\b/)).toEqual(['main.ts'])
  })

  test('the commands: main', () => {
    expect(users(/^command-line\//).filter((path) => folderOf(path) !== 'command-line')).toEqual(['main.ts'])
  })
})

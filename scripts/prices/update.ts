// Update: makes src/prices/prices.json anew from the newest genai-prices and litellm, and prints every price that changed.
// Needs python3 with pip. Usage: npm run prices:update [-- --genai-prices 0.2.3 --litellm 1.110.2]

import { execFileSync } from 'node:child_process'
import {
  copyFileSync,
  existsSync,
  globSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { type PriceFile, readPriceFile } from '../../src/prices/price-file.ts'
import { priceChanges } from './changes.ts'
import { CORRECTIONS } from './corrections.ts'
import { LIMITS } from './limits.ts'
import { mergePrices } from './merge.ts'
import { PROVIDERS } from './providers.ts'
import { writePriceFile } from './write.ts'

const FOLDER = join(import.meta.dirname, '../../src/prices')
const FILE = join(FOLDER, 'prices.json')

const { values: versions } = parseArgs({
  options: { 'genai-prices': { type: 'string' }, litellm: { type: 'string' }, date: { type: 'string' } },
})

/** Installs a package from PyPI, without what it depends on if only its files are read. Returns its version. */
function install(folder: string, name: 'genai-prices' | 'litellm', options: readonly string[]): string {
  const wanted = versions[name] === undefined ? name : `${name}==${versions[name]}`
  execFileSync(join(folder, 'bin/pip'), ['install', '--quiet', '--upgrade', ...options, wanted], { stdio: 'inherit' })
  const [info = ''] = globSync(join(folder, `lib/*/site-packages/${name.replace('-', '_')}-*.dist-info`))
  return /-([^-]+)\.dist-info$/.exec(info)?.[1] ?? ''
}

function copyLicence(folder: string, name: string): void {
  const [licence] = globSync(join(folder, `lib/*/site-packages/${name.replace('-', '_')}-*.dist-info/**/LICENSE*`))
  if (licence === undefined) throw new Error(`${name} has no licence file.`)
  mkdirSync(join(FOLDER, 'licences'), { recursive: true })
  copyFileSync(licence, join(FOLDER, 'licences', `${name}.txt`))
}

const python = mkdtempSync(join(tmpdir(), 'bursar-prices-'))
try {
  execFileSync('python3', ['-m', 'venv', python], { stdio: 'inherit' })
  const genaiVersion = install(python, 'genai-prices', [])
  const litellmVersion = install(python, 'litellm', ['--no-deps'])
  const exported = execFileSync(join(python, 'bin/python'), [join(import.meta.dirname, 'export-genai-prices.py')], {
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
  })
  const [map = ''] = globSync(join(python, 'lib/*/site-packages/litellm/model_prices_and_context_window_backup.json'))
  const before: PriceFile | undefined = existsSync(FILE) ? readPriceFile(readFileSync(FILE, 'utf8')) : undefined
  const after = mergePrices({
    date: versions.date ?? new Date().toISOString().slice(0, 10),
    versions: { 'genai-prices': genaiVersion, litellm: litellmVersion },
    genai: JSON.parse(exported),
    litellm: JSON.parse(readFileSync(map, 'utf8')),
    corrections: CORRECTIONS,
    providers: PROVIDERS,
    limits: LIMITS,
  })
  const text = writePriceFile(after)
  readPriceFile(text)
  writeFileSync(FILE, text)
  for (const name of ['genai-prices', 'litellm']) copyLicence(python, name)
  for (const line of priceChanges(before, after)) console.log(line)
} finally {
  rmSync(python, { recursive: true })
}

// Check: fails if a default model, or a model that an example names, ends within 60 days, or if the prices are old. Run it before a
// release: it depends on the day. Usage: npm run prices:check

import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createPriceBook } from '../../src/prices/price-book.ts'
import { shippedPriceList } from '../../src/prices/price-list.ts'
import { BUILT_IN_PROVIDERS } from '../../src/providers/index.ts'

const ROOT = join(import.meta.dirname, '../..')
const MIN_DAYS_LEFT = 60
const MAX_AGE_DAYS = 45
const DAY_MS = 86_400_000

const nowMs = Date.now()
const book = createPriceBook()
const problems: string[] = []

/** Text that a stranger copies. */
const texts = globSync(['README.md', 'docs/*.md', 'examples/*', '.env.example'], { cwd: ROOT }).map((file) => ({
  file,
  text: readFileSync(join(ROOT, file), 'utf8'),
}))

function checkModel(provider: string, model: string, where: string): void {
  const { retirement } = book.find(provider, model, nowMs)
  if (!retirement) return
  const daysLeft = Math.floor((Date.parse(retirement.date) - nowMs) / DAY_MS)
  const instead = retirement.successor === undefined ? '' : `, use ${retirement.successor}`
  if (daysLeft < MIN_DAYS_LEFT) problems.push(`${where}: ${model} ends on ${retirement.date}${instead}`)
}

for (const { name, settings } of BUILT_IN_PROVIDERS)
  checkModel(name, settings.model.defaultText, settings.model.variable)
for (const { file, text } of texts)
  for (const { name } of BUILT_IN_PROVIDERS)
    for (const model of book.models(name, 0)) {
      const isNamed = new RegExp(`(?<![\\w.-])${model.replace(/[.]/g, '\\.')}(?![\\w.-])`).test(text)
      if (isNamed && /\d/.test(model)) checkModel(name, model, file)
    }

const { date } = shippedPriceList()
const ageDays = Math.floor((nowMs - Date.parse(date)) / DAY_MS)
if (ageDays > MAX_AGE_DAYS) problems.push(`src/prices/prices.json is of ${date}: run npm run prices:update`)

for (const problem of new Set(problems)) console.error(problem)
console.log(
  problems.length === 0 ? `prices of ${date}: no default and no example ends within ${MIN_DAYS_LEFT} days` : '',
)
process.exitCode = problems.length === 0 ? 0 : 1

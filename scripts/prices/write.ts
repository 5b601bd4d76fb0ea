// Write: the text of a price file, one line for each model, so that a change is a line of a diff.

import type { FileProvider, PriceFile } from '../../src/prices/price-file.ts'

export function writePriceFile({ providers, limits, ...head }: PriceFile): string {
  const heading = Object.entries(head).map(([key, value]) => `  ${JSON.stringify(key)}: ${JSON.stringify(value)}`)
  return `{\n${[...heading, `  "limits": ${lines(limits)}`, `  "providers": ${providerLines(providers)}`].join(',\n')}\n}\n`
}

function lines(record: Readonly<Record<string, unknown>>): string {
  const entries = Object.entries(record).map(([key, value]) => `    ${JSON.stringify(key)}: ${JSON.stringify(value)}`)
  return `{\n${entries.join(',\n')}\n  }`
}

function providerLines(providers: Readonly<Record<string, FileProvider>>): string {
  const entries = Object.entries(providers).map(([id, { models, ...rest }]) => {
    const facts = Object.entries(rest).map(
      ([key, value]) => `      ${JSON.stringify(key)}: ${JSON.stringify(value)},\n`,
    )
    const rows = models.map((model) => `        ${JSON.stringify(model)}`).join(',\n')
    return `    ${JSON.stringify(id)}: {\n${facts.join('')}      "models": [\n${rows}\n      ]\n    }`
  })
  return `{\n${entries.join(',\n')}\n  }`
}

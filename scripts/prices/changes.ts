// Changes: what differs between two price files, as lines that a person reads before a release.

import type { FileModel, PriceFile } from '../../src/prices/price-file.ts'

/** One line for each model that is new, gone or different. */
export function priceChanges(before: PriceFile | undefined, after: PriceFile): string[] {
  const old = new Map(before ? modelsOf(before) : [])
  const lines: string[] = []
  for (const [name, model] of modelsOf(after)) {
    const was = old.get(name)
    old.delete(name)
    if (was === undefined) lines.push(`new   ${name} ${facts(model)}`)
    else if (facts(was) !== facts(model)) lines.push(`other ${name}\n      ${facts(was)}\n      ${facts(model)}`)
  }
  return [...lines, ...[...old.keys()].map((name) => `gone  ${name}`)]
}

function modelsOf({ providers }: PriceFile): [string, FileModel][] {
  return Object.entries(providers).flatMap(([provider, { models }]) =>
    models.map((model): [string, FileModel] => [`${provider}/${model.id}`, model]),
  )
}

function facts({ spans, limits, uplifts, ends }: FileModel): string {
  return JSON.stringify({ spans, limits, uplifts, ends })
}

// Routed: the rates of sound and images of models that OpenRouter passes on, where its own list has rates of text alone.

import { type FileModel, type FilePrice, type FileRates, findModel } from '../../src/prices/price-file.ts'

/** The providers whose models OpenRouter passes on, by the name that it puts in front. */
const VENDORS: ReadonlyMap<string, string> = new Map([
  ['openai', 'openai'],
  ['google', 'google'],
  ['mistralai', 'mistral'],
  ['x-ai', 'x-ai'],
])

const MEDIA_CLASSES = ['audioInput', 'audioCacheRead', 'audioOutput', 'imageInput', 'imageOutput'] as const

type ModelsOf = (provider: string) => readonly FileModel[]

/**
 * The rows of a model of OpenRouter's list, with its vendor's rates of sound and images where the list has none. A name whose vendor
 * has other such rates for it becomes a row of its own: the list has `gpt-4o-audio-preview` among the names of `gpt-4o`.
 */
export function withMediaRates(model: FileModel, modelsOf: ModelsOf): FileModel[] {
  if (model.spans.every(({ rates }) => Object.keys(rates).length === 0)) return [model]
  const own = mediaRatesOf(model.id, modelsOf) ?? {}
  const others = new Map<string, string[]>()
  for (const name of model.names.equals ?? []) {
    const rates = JSON.stringify(mediaRatesOf(name, modelsOf) ?? own)
    others.set(rates, [...(others.get(rates) ?? []), name])
  }
  const ownNames = others.get(JSON.stringify(own)) ?? []
  others.delete(JSON.stringify(own))
  const names = others.size === 0 ? model.names : { ...model.names, equals: ownNames }
  return [
    ...[...others].map(([rates, equals]) =>
      withRates({ ...model, id: equals[0] ?? '', names: { equals } }, JSON.parse(rates)),
    ),
    withRates({ ...model, names }, own),
  ]
}

function withRates(model: FileModel, media: FileRates): FileModel {
  if (Object.keys(media).length === 0) return model
  return {
    ...model,
    spans: model.spans.map((span) => ({ ...span, rates: { ...media, ...span.rates } })),
    source: [...(model.source === undefined ? [] : [model.source]), "Sound and images: the vendor's own rates"].join(
      '. ',
    ),
  }
}

/** The highest rates of the vendor's model at any time. Undefined if the vendor's list does not have the model. */
function mediaRatesOf(name: string, modelsOf: ModelsOf): FileRates | undefined {
  const [, vendor = '', id = ''] = /^~?([^/]+)\/([^:]+)/.exec(name) ?? []
  const found = findModel(modelsOf(VENDORS.get(vendor) ?? ''), id.toLowerCase())
  if (!found) return undefined
  const rates: FileRates = {}
  for (const { rates: all } of found.spans)
    for (const media of MEDIA_CLASSES) {
      const price = all[media]
      if (price !== undefined && baseOf(price) > baseOf(rates[media] ?? 0)) rates[media] = price
    }
  return rates
}

function baseOf(price: FilePrice): number {
  return typeof price === 'number' ? price : price.base
}

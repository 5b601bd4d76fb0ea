// Regional prices: the addresses of one region at which a provider bills more than at its own.

/** Hosts by the name of the price list. From OpenAI's page on data residency and Google's on Vertex AI, November 2026. */
const REGIONAL_HOSTS: ReadonlyMap<string, RegExp> = new Map([
  ['openai', /^[a-z]{2,4}\.api\.openai\.com$/],
  ['gemini', /^(?!global-)[a-z0-9-]+-aiplatform\.googleapis\.com$|^aiplatform\.[a-z]+\.rep\.googleapis\.com$/],
])

/** The name that the price book has for a provider at an address: `openai`, or `openai+regional` at `https://eu.api.openai.com/v1`. */
export function priceNameAt(priceName: string, baseUrl: string): string {
  const hosts = REGIONAL_HOSTS.get(priceName)
  return hosts && URL.canParse(baseUrl) && hosts.test(new URL(baseUrl).hostname) ? `${priceName}+regional` : priceName
}

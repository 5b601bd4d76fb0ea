// Regional prices: the addresses of one region at which a provider bills more than at its own. Which models cost more there, and how
// much, is in the price list.

/** OpenAI's page on data residency and Google's on Vertex AI, November 2026. */
const REGIONAL_HOSTS: readonly RegExp[] = [
  /^[a-z]{2,4}\.api\.openai\.com$/,
  /^(?!global-)[a-z0-9-]+-aiplatform(?:\.mtls|\.p)?\.googleapis\.com$/,
  /^aiplatform\.[a-z]+\.rep\.googleapis\.com$/,
]

/** Addresses of Vertex AI name the region in their path as well; hosts of private connections have other names. */
const GOOGLE_HOST = /\.googleapis\.com$/
const REGIONAL_PATH = /\/locations\/(?!global(?:\/|$))[^/]+/

/**
 * The name that the price book has for a provider at an address: `openai`, or `openai+regional` at `https://eu.api.openai.com/v1`.
 * The address decides, since Vertex AI also serves the models of other lists.
 */
export function priceNameAt(priceName: string, baseUrl: string): string {
  return URL.canParse(baseUrl) && isRegional(new URL(baseUrl)) ? `${priceName}+regional` : priceName
}

function isRegional({ hostname, pathname }: URL): boolean {
  const host = hostname.replace(/\.$/, '')
  return REGIONAL_HOSTS.some((hosts) => hosts.test(host)) || (GOOGLE_HOST.test(host) && REGIONAL_PATH.test(pathname))
}

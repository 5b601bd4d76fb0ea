// Address: the base URL of a provider, as /admin/ takes it. Keys go there, so others must not be able to read along.

const LOOPBACK_HOST = /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/

/** The URL without a trailing slash. Undefined unless it is https, or http on this machine, without a user, a query and a fragment. */
export function providerAddress(text: string): string | undefined {
  if (!URL.canParse(text)) return undefined
  const { protocol, hostname, username, password, search, hash, origin, pathname } = new URL(text)
  const isPrivate = protocol === 'https:' || (protocol === 'http:' && LOOPBACK_HOST.test(hostname))
  if (!isPrivate || [username, password, search, hash].some((part) => part !== '')) return undefined
  return `${origin}${pathname.replace(/\/+$/, '')}`
}

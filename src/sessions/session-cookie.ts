// Session cookie: where a browser keeps the secret of its session. No script reads the cookie, and no other site makes a browser send it.

const NAME = '__Host-bursar'
/** `__Host-` holds browsers to `Secure`, to this host alone, and to this path, also if the gateway is mounted below another one. */
const ATTRIBUTES = 'Path=/; Secure; HttpOnly; SameSite=Strict'

/** The value of `Set-Cookie` that begins a session in a browser. */
export function sessionCookie(secret: string, maxAgeSeconds: number): string {
  return `${NAME}=${secret}; ${ATTRIBUTES}; Max-Age=${maxAgeSeconds}`
}

/** The value of `Set-Cookie` that ends the session in a browser. */
export const NO_SESSION_COOKIE = sessionCookie('', 0)

/** The secret in the `Cookie` header; undefined if there is none. */
export function secretInCookies(header: string | undefined): string | undefined {
  const start = `${NAME}=`
  const cookie = header?.split(';').find((part) => part.trim().startsWith(start))
  const secret = cookie?.trim().slice(start.length)
  return secret === '' ? undefined : secret
}

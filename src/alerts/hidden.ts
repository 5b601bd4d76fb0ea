// Hidden: finds the secrets of an address in what a receiver says, also if it repeats only a part of one, or in another form.

/** This much of a secret is hidden wherever it stands. */
const RUN_CHARACTERS = 8
/** Shorter secrets are hidden only as whole words, so that one letter does not blacken a text. */
const MIN_ANYWHERE_CHARACTERS = 4
/** Shorter parts of an address are no secrets. */
const MIN_PART_CHARACTERS = 3

/** What must not be shown of a URL: all behind its host, each part of it, and both without percent-encoding. */
export function secretsOfUrl({ pathname, search }: URL): readonly string[] {
  const written = pathname + search
  const forms = [written, decoded(written), decoded(written.replaceAll('+', ' '))]
  const parts = forms.flatMap((form) => [form, ...form.split(/[/?&=;]+/), ...form.split(/[^\p{L}\p{N}_-]+/u)])
  return [...new Set(parts)].filter(({ length }) => length >= MIN_PART_CHARACTERS)
}

/** What must not be shown of what signs in at a mail server, as SMTP's AUTH sends it, too. */
export function secretsOfSignIn(user: string, password: string): readonly string[] {
  if (user === '' && password === '') return []
  const plain = [user, password]
  const encoded = [...plain, `\0${user}\0${password}`, `${user}\0${user}\0${password}`].map((text) =>
    Buffer.from(text).toString('base64').replace(/=+$/, ''),
  )
  return [...plain, ...encoded]
}

/** A text with each secret in it, and each longer part of one, left out. Capitals and small letters are the same. */
export function hidden(text: string, secrets: readonly string[]): string {
  const [line, isHidden] = [lowered(text), new Uint8Array(text.length)]
  const runs = new Set<string>()
  for (const secret of secrets.map(lowered)) {
    if (!/[\p{L}\p{N}]/u.test(secret)) continue
    for (let at = 0; at + RUN_CHARACTERS <= secret.length; at++) runs.add(secret.slice(at, at + RUN_CHARACTERS))
    for (let at = line.indexOf(secret); at >= 0; at = line.indexOf(secret, at + 1))
      if (secret.length >= MIN_ANYWHERE_CHARACTERS || isWord(line, at, at + secret.length))
        isHidden.fill(1, at, at + secret.length)
  }
  for (let at = 0; at + RUN_CHARACTERS <= line.length; at++)
    if (runs.has(line.slice(at, at + RUN_CHARACTERS))) isHidden.fill(1, at, at + RUN_CHARACTERS)
  let shown = ''
  for (let at = 0; at < text.length; at++) {
    if (isHidden[at] !== 1) shown += text[at]
    else if (isHidden[at - 1] !== 1) shown += '…'
  }
  return shown
}

function isWord(line: string, from: number, to: number): boolean {
  return !/[\p{L}\p{N}]/u.test(`${line[from - 1] ?? ''}${line[to] ?? ''}`)
}

/** Of the same length, which `toLowerCase` does not promise. */
function lowered(text: string): string {
  return text.replace(/[A-Z]+/g, (capitals) => capitals.toLowerCase())
}

/** A text that is not percent-encoded right stays as it is. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

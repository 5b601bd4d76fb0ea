// JSON values: parses objects, and counts how many values a JSON text holds without parsing it. It knows no dialect.

/**
 * Whether a JSON text has more than `maxValues` values, counted by the commas and brackets before them; those in strings do not
 * count. Check this before parsing: very many small values block the event loop for seconds.
 */
export function hasMoreValuesThan(json: string, maxValues: number): boolean {
  let values = 0
  let inString = false
  for (let index = 0; index < json.length && values <= maxValues; index++) {
    const code = json.charCodeAt(index)
    if (inString && code === 0x5c) index++
    else if (code === 0x22) inString = !inString
    else if (!inString && (code === 0x2c || code === 0x5b || code === 0x7b)) values++
  }
  return values > maxValues
}

/** True for an object that is neither null nor an array. */
export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** The value if it is a record, otherwise an empty record. */
export function recordOf(value: unknown): Readonly<Record<string, unknown>> {
  return isRecord(value) ? value : {}
}

/** A patch is no deeper than what it changes. */
const MAX_PATCH_DEPTH = 8

/** The value after a JSON merge patch (RFC 7396): objects are merged, null removes a field, anything else replaces. */
export function mergePatch(value: unknown, patch: unknown, depth = 0): unknown {
  if (!isRecord(patch) || depth === MAX_PATCH_DEPTH) return patch
  const fields = new Map(Object.entries(recordOf(value)))
  for (const [name, change] of Object.entries(patch)) {
    if (change === null) fields.delete(name)
    else fields.set(name, mergePatch(fields.get(name), change, depth + 1))
  }
  return Object.fromEntries(fields)
}

/** Parses a JSON object. Undefined for any other text, such as `[DONE]`. */
export function parseObject(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return isRecord(value) ? value : undefined
  } catch {
    return undefined
  }
}

/** Parses a JSON object, or the first element of an array if it is one: some providers put an error into an array. */
export function parseFirstObject(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(text)
    const first: unknown = Array.isArray(value) ? value[0] : value
    return isRecord(first) ? first : undefined
  } catch {
    return undefined
  }
}

/** `generateContent` → `generate_content`. */
export function snakeCase(name: string): string {
  return name.replace(/(?<=[a-z])[A-Z0-9]/g, (character) => `_${character.toLowerCase()}`)
}

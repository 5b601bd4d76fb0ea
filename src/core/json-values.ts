// Values: how much JSON holds, told before it is parsed: many small values take seconds of everybody's time.

/** Whether JSON has more values than that, by the commas and brackets that stand before them. What its strings hold does not count. */

export function hasMoreValuesThan(json: string, most: number): boolean {
  let values = 0
  let inString = false
  for (let at = 0; at < json.length && values <= most; at++) {
    const code = json.charCodeAt(at)
    if (inString && code === 0x5c) at++
    else if (code === 0x22) inString = !inString
    else if (!inString && (code === 0x2c || code === 0x5b || code === 0x7b)) values++
  }
  return values > most
}

export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

export function recordOf(value: unknown): Readonly<Record<string, unknown>> {
  return isRecord(value) ? value : {}
}

/** Undefined for what is no JSON object: `[DONE]`, and worse. */
export function parseObject(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return isRecord(value) ? value : undefined
  } catch {
    return undefined
  }
}

/** `generateContent` → `generate_content`. */
export function snakeCase(name: string): string {
  return name.replace(/(?<=[a-z])[A-Z0-9]/g, (character) => `_${character.toLowerCase()}`)
}

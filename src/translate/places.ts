// Places: where the objects that a reader returns stand in the caller's request, for errors: `messages[3].tool_calls[0]`. Chat
// requests themselves know nothing of how they were spelled.

const PLACES = new WeakMap<object, string>()

/** Notes the place of `value`, and returns `value`. A copy of it has no place until it is noted, too. */
export function placed<Value extends object>(value: Value, place: string): Value {
  if (place !== '') PLACES.set(value, place)
  return value
}

/** The path in the caller's words; undefined for an object that no reader has placed. */
export function placeOf(value: object): string | undefined {
  return PLACES.get(value)
}

/** Notes for a copy the place of its original, and returns the copy. */
export function placedLike<Value extends object>(copy: Value, original: object): Value {
  return placed(copy, placeOf(original) ?? '')
}

/** The path of a field of a placed object; the field alone if the object has no place. */
export function fieldIn(object: object | undefined, field: string): string {
  const place = object && placeOf(object)
  return place === undefined ? field : `${place}.${field}`
}

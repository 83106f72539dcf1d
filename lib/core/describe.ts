/** A value in an error's message. Never throws, whatever was passed: getters and proxies may. */
export function describe(value: unknown): string {
  try {
    return inWords(value)
  } catch {
    return 'an object that cannot be read'
  }
}

/** A duration in a sentence. */
export function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`
}

function inWords(value: unknown): string {
  if (typeof value === 'string') return `'${value.slice(0, 40)}'`
  if (typeof value === 'function') return 'a function'
  // Lists within a list are not looked into: a list may hold itself.
  if (Array.isArray(value)) {
    const items = value.slice(0, 9).map((item) => (Array.isArray(item) ? '[...]' : describe(item)))
    return `[${items.join(', ').slice(0, 40)}]`
  }
  if (typeof value !== 'object' || value === null) return String(value)
  return isPlainObject(value)
    ? 'an object'
    : `an object of class ${String(value.constructor?.name ?? 'unknown').slice(0, 40)}`
}

/** An object whose keys are its content: no list, no Map, no instance of a class. */
export function isPlainObject(value: unknown): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null) return false
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === null || Object.getPrototypeOf(prototype as object) === null
}

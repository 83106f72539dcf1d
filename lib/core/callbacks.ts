/** Told what went wrong in a callback of the app's. */
export type CallbackFailed = (error: unknown) => void

/** For what is caught further out. */
export function throwIt(error: unknown): never {
  throw error
}

/** Whether something would be awaited. Asking may run a getter of the app's, and throws what it throws. */
export function isThenable(value: unknown): value is PromiseLike<unknown> {
  return (
    value !== null &&
    (typeof value === 'object' || typeof value === 'function') &&
    typeof (value as { then?: unknown }).then === 'function'
  )
}

/**
 * Hears what a callback returned: were it a promise that nobody awaits, its rejection would end the process. `true`: it
 * is a promise, or anything else with a `then`. A `then` that throws, or a getter for it, is a rejection too.
 */
export function hear(returned: unknown, failed: CallbackFailed, done?: () => void): boolean {
  try {
    if (!isThenable(returned)) return false
  } catch (error) {
    failed(error)
    return false
  }
  new Promise((resolve) => resolve(returned)).then(done, failed)
  return true
}

/**
 * What a callback must return at once, and nothing else in its place: a promise for one is truthy, and `true` to nobody.
 * `undefined` says nothing. A rejection behind such a promise is heard, and not told of again.
 */
export function plain<T>(
  returned: unknown,
  isRight: (value: unknown) => value is T,
  expected: string,
  failed: CallbackFailed,
): T | undefined {
  if (returned === undefined) return undefined
  if (isRight(returned)) return returned
  const isPromise = hear(returned, () => {})
  const got = isPromise ? 'a promise, which nobody waits for' : nameOf(returned)
  failed(new TypeError(`it must return ${expected}, not ${got}`))
  return undefined
}

/** The same callback, as one that answers yes or no whatever it does. */
export function yesOrNo<A extends unknown[]>(
  callback: (...args: A) => unknown,
  failed: CallbackFailed,
): (...args: A) => boolean {
  return (...args) => {
    try {
      return plain(callback(...args), isBoolean, 'true or false', failed) === true
    } catch (error) {
      failed(error)
      return false
    }
  }
}

export const isBoolean = (value: unknown): value is boolean => typeof value === 'boolean'
export const isNumber = (value: unknown): value is number => typeof value === 'number' && !Number.isNaN(value)

function nameOf(value: unknown): string {
  if (value === null || Number.isNaN(value)) return String(value)
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`
}

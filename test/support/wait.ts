import type { EventEmitter } from 'node:events'

/** Generous: it only decides how long a failing test takes. */
export const patienceMs = 30_000

/** Waits until `condition` holds; fails after `ms`, saying `what` was waited for. */
export async function until<T>(
  condition: () => T | Promise<T>,
  what: string,
  ms = patienceMs,
): Promise<NonNullable<T>> {
  const deadline = performance.now() + ms
  for (;;) {
    const value = await condition()
    if (value) return value
    if (performance.now() > deadline) throw new Error(`waited ${ms} ms for ${what}`)
    await pause(5)
  }
}

/** The first arguments of an event; fails after `ms`. Unlike `events.once`, an 'error' meanwhile does not reject. */
export function heard<T extends unknown[] = unknown[]>(
  emitter: Pick<EventEmitter, 'once' | 'removeListener'>,
  event: string,
  ms = patienceMs,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const done = (...args: unknown[]) => {
      clearTimeout(timer)
      resolve(args as T)
    }
    const timer = setTimeout(() => {
      emitter.removeListener(event, done)
      reject(new Error(`waited ${ms} ms for '${event}'`))
    }, ms)
    emitter.once(event, done)
  })
}

/** The promise's own result; fails after `ms`, saying `what` was waited for. */
export function inTime<T>(promise: Promise<T>, what: string, ms = patienceMs): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited ${ms} ms for ${what}`)), ms)
  })
  return Promise.race([promise, late]).finally(() => clearTimeout(timer))
}

/** Spreads work over time; never the proof of anything. */
export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

/** Lets everything that is pending in this turn of the event loop happen. */
export const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

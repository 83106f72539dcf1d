import type { Logger } from '../../types/logger.js'
import { errorText } from './error-text.js'
import type { WarningCode } from './errors.js'
import type { Events } from './events.js'
import { outside } from './outside.js'

/** Lines a minute for one code, in the log or on stderr. Events are not limited. */
const maxPerWindow = 20
const windowMs = 60_000

/** Tells the operator: by the `warning` event and the logger, or, where there is neither, by `process.emitWarning`. */
export class Warnings {
  /** Exceptions of the app's callbacks that were caught. */
  callbackErrors = 0
  readonly #events: () => Events
  readonly #logger: Logger | false
  readonly #now: () => number
  readonly #told = new Set<WarningCode>()
  readonly #windows = new Map<WarningCode, { start: number; count: number }>()

  constructor(events: () => Events, logger: Logger | false, now: () => number) {
    this.#events = events
    this.#logger = logger
    this.#now = now
  }

  warn(code: WarningCode, message: string, error?: unknown): void {
    const events = this.#events()
    const heard = events.wants('warning')
    if (heard) events.emit('warning', error === undefined ? { code, message } : { code, message, error })
    if ((heard && this.#logger === false) || !this.#mayPrint(code)) return
    if (this.#logger === false)
      process.emitWarning(message, { type: 'PeerpulseWarning', code, ...stackOf(error) })
    else
      this.log((logger) =>
        logger.warn(
          { event: 'warning', code, ...(error === undefined ? undefined : { err: error }) },
          message,
        ),
      )
  }

  /** What one telling is enough for. */
  warnOnce(code: WarningCode, message: string): void {
    if (this.#told.has(code)) return
    this.#told.add(code)
    this.warn(code, message)
  }

  /** A callback of the app's threw. */
  callbackFailed(what: string, error: unknown, consequence = ''): void {
    this.callbackErrors++
    // A warning about a warning listener would call it again.
    if (what === 'warning listener') return
    this.warn('PEERPULSE_WARN_CALLBACK', `${what} threw: ${errorText(error)}${consequence}`, error)
  }

  /** Calls the logger, which is the app's too. A line is about the process, not about the request in which it came up. */
  log(write: (logger: Logger) => void): void {
    const logger = this.#logger
    if (logger === false) return
    try {
      outside(() => write(logger))
    } catch {
      this.callbackErrors++
    }
  }

  #mayPrint(code: WarningCode): boolean {
    const now = this.#now()
    const window = this.#windows.get(code)
    if (window === undefined || now - window.start >= windowMs) {
      this.#windows.set(code, { start: now, count: 1 })
      return true
    }
    return ++window.count <= maxPerWindow
  }
}

/** Where it was thrown, for whoever has no logger to tell. */
function stackOf(error: unknown): { detail?: string } {
  return error instanceof Error && typeof error.stack === 'string' ? { detail: error.stack } : {}
}

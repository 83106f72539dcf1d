import type { Connection } from '../../../types/connection.js'
import type { PeerpulseEvents, Shed } from '../../../types/events.js'
import type { Logger } from '../../../types/logger.js'
import type { Snapshot } from '../../../types/peerpulse.js'
import { errorText } from '../error-text.js'
import type { WarningCode } from '../errors.js'
import { type EventName, Events } from './events.js'
import { ownLog } from './own-log.js'

/** Lines a minute for one code, in the log or on stderr. Events are not limited. */
const maxPerWindow = 20
/** So long a callback that fails over and over is told of once. */
const windowMs = 60_000
/** Labels and names are the app's, yet might be made of user input: beyond so many the oldest are forgotten. */
const maxCallbacks = 1_000

interface Telling {
  code: WarningCode
  message: string
  error?: unknown
}

/**
 * All that a pulse says: its events, its lines in the log, and its warnings. A warning is an event and a line, or, where
 * nobody listens and there is no logger, a `process.emitWarning`.
 */
export class Reports {
  readonly name = 'reports'
  /** What the app's callbacks did that was caught: exceptions, rejections, answers of a wrong kind. */
  callbackErrors = 0
  /** The app's logger, which can harm nobody. */
  readonly logger: Logger | false
  readonly events: Events
  readonly #now: () => number
  readonly #told = new Set<WarningCode>()
  readonly #windows = new Map<WarningCode, { start: number; count: number }>()
  /** When each callback that fails was last told of. */
  readonly #failing = new Map<unknown, number>()

  /** `now`: monotonic milliseconds. */
  constructor(logger: Logger | false, now: () => number) {
    this.events = new Events((event, error, listener) =>
      this.callbackFailed(`${event} listener`, error, '', listener),
    )
    this.logger = logger && ownLog(logger, (error) => this.#logFailed(error))
    this.#now = now
  }

  opened(connection: Connection): void {
    this.emit('connection:open', connection)
  }

  closed(connection: Connection): void {
    this.emit('connection:close', connection)
  }

  shed(shed: Shed): void {
    this.emit('shed', shed)
  }

  snapshot({ totals }: Snapshot): void {
    totals.callbackErrors = this.callbackErrors
  }

  emit<E extends EventName>(event: E, payload: PeerpulseEvents[E]): void {
    if (this.events.wants(event)) this.events.emit(event, payload)
  }

  warn(code: WarningCode, message: string, error?: unknown): void {
    const heard = this.#emitWarning({ code, message, ...(error === undefined ? undefined : { error }) })
    if ((heard && this.logger === false) || !this.#mayPrint(code)) return
    if (this.logger === false) print(code, message, error)
    else this.#log({ code, message, error })
  }

  /** What one telling is enough for. */
  warnOnce(code: WarningCode, message: string): void {
    if (this.#told.has(code)) return
    this.#told.add(code)
    this.warn(code, message)
  }

  /**
   * A callback of the app's threw, rejected, or answered what it must not. It is told of once a minute: some are called
   * for every request. `by`: the callback, where many have one name.
   */
  callbackFailed(what: string, error: unknown, consequence = '', by: unknown = what): void {
    this.callbackErrors++
    if (!this.#mayTell(by)) return
    const telling = { code: 'PEERPULSE_WARN_CALLBACK', error } as const
    this.#tellOf(what, { ...telling, message: `${what} threw: ${errorText(error)}${consequence}` })
  }

  /** Something of ours threw. It was caught. */
  failed(error: unknown): void {
    const what = 'peerpulse itself'
    this.callbackFailed(what, error, '', `${what}: ${errorText(error)}`)
  }

  /** Writes to the logger, where there is one. */
  log(write: (logger: Logger) => void): void {
    if (this.logger !== false) write(this.logger)
  }

  /** A listener for warnings that fails is not told of itself, nor is a logger. */
  #tellOf(what: string, telling: Telling): void {
    if (what !== 'warning listener') this.warn(telling.code, telling.message, telling.error)
    else if (this.logger !== false) this.#log(telling)
    else print(telling.code, telling.message, telling.error)
  }

  #logFailed(error: unknown): void {
    this.callbackErrors++
    if (!this.#mayTell('log')) return
    const telling = {
      code: 'PEERPULSE_WARN_CALLBACK',
      message: `log threw: ${errorText(error)}`,
      error,
    } as const
    if (!this.#emitWarning(telling)) print(telling.code, telling.message, error)
  }

  #emitWarning(telling: Telling): boolean {
    if (!this.events.wants('warning')) return false
    this.events.emit('warning', telling)
    return true
  }

  #log({ code, message, error }: Telling): void {
    const fields = { event: 'warning', code, ...(error === undefined ? undefined : { err: error }) }
    this.log((logger) => logger.warn(fields, message))
  }

  #mayTell(by: unknown): boolean {
    const now = this.#now()
    const last = this.#failing.get(by)
    if (last !== undefined && now - last < windowMs) return false
    this.#failing.delete(by)
    if (this.#failing.size >= maxCallbacks) this.#failing.delete(this.#failing.keys().next().value)
    this.#failing.set(by, now)
    return true
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

function print(code: WarningCode, message: string, error: unknown): void {
  process.emitWarning(message, { type: 'PeerpulseWarning', code, ...stackOf(error) })
}

/** Where it was thrown, for whoever has no logger to tell. */
function stackOf(error: unknown): { detail?: string } {
  return error instanceof Error && typeof error.stack === 'string' ? { detail: error.stack } : {}
}

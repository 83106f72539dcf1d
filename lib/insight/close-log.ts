import type { CloseReason } from '../../types/close.js'
import type { Logger } from '../../types/logger.js'
import type { Clock } from '../core/clock.js'
import { closeReasons } from '../core/close-reason.js'
import type { PeerConnection } from '../core/connection.js'

/** Lines in one window; in a storm the rest is counted and summed up in one line. */
const maxLinesPerWindow = 100
const windowMs = 10_000

/** Closes that an operator should look at. */
const alarming: ReadonlySet<CloseReason> = new Set([
  'half-open',
  'peer-reset',
  'slow-consumer',
  'shed',
  'limit',
  'protocol-error',
  'server-error',
  'handshake-timeout',
])

/** One structured line a close. */
export class CloseLog {
  readonly #logger: Logger
  readonly #clock: Clock
  #windowStart = 0
  #lines = 0
  #held = new Map<CloseReason, number>()

  constructor(logger: Logger, clock: Clock) {
    this.#logger = logger
    this.#clock = clock
  }

  note(connection: PeerConnection, protocol: string): void {
    const { id, remoteAddress, closeReason: reason, evidence } = connection
    if (reason === undefined || evidence === undefined) return
    this.flush()
    if (++this.#lines > maxLinesPerWindow) {
      this.#held.set(reason, (this.#held.get(reason) ?? 0) + 1)
      return
    }
    const fields = { event: 'connection:close', id, protocol, remoteAddress, reason, ...evidence }
    const message = `connection ${id} (${protocol}, ${remoteAddress}) closed after ${seconds(evidence.ageMs)}: ${reason}. ${closeReasons[reason].meaning}`
    if (alarming.has(reason)) this.#logger.warn(fields, message)
    else this.#logger.info(fields, message)
  }

  /** Ends a window: says how many lines were held back. Called every tick. */
  flush(): void {
    if (this.#clock.now - this.#windowStart < windowMs) return
    this.#windowStart = this.#clock.now
    this.#lines = 0
    if (this.#held.size === 0) return
    const reasons = Object.fromEntries(this.#held)
    const count = [...this.#held.values()].reduce((sum, n) => sum + n, 0)
    this.#held.clear()
    this.#logger.warn(
      { event: 'connection:close', count, reasons },
      `${count} more connections closed in ${seconds(windowMs)}: ${JSON.stringify(reasons)}`,
    )
  }
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`
}

import type { Stall } from '../../types/events.js'
import type { Logger } from '../../types/logger.js'
import { seconds } from '../core/describe.js'

/** So many stalls are remembered. */
const most = 20
/** From here on a stall is worth a line: a person notices a quarter of a second, and an orchestrator's probe gives up after one. */
const loggedFromMs = 250
/** Lines in one window; a process that stalls all the time gets a sum. */
const maxLinesPerWindow = 5
const windowMs = 60_000

/** Writes the stalls of the event loop down: the last ones for the snapshot, the longer ones in the log. */
export class Stalls {
  readonly #log: (write: (logger: Logger) => void) => void
  #last: Stall[] = []
  #windowStart = 0
  #lines = 0
  #held: number[] = []

  constructor(log: (write: (logger: Logger) => void) => void) {
    this.#log = log
  }

  /** The newest first, for the caller to keep. */
  get last(): Stall[] {
    return this.#last.map((stall) => ({ ...stall }))
  }

  note(stall: Stall): void {
    this.#last = [stall, ...this.#last].slice(0, most)
    const { ms } = stall
    if (ms < loggedFromMs) return
    if (++this.#lines > maxLinesPerWindow) this.#held.push(ms)
    else
      this.#log((logger) =>
        logger.warn({ event: 'stall', ...stall }, `the event loop stood still for ${seconds(ms)}`),
      )
  }

  /** Called every tick: at the end of a window, sums up what was held back. */
  tick(now: number): void {
    if (now - this.#windowStart < windowMs) return
    this.#windowStart = now
    this.sumUp()
  }

  sumUp(): void {
    this.#lines = 0
    if (this.#held.length === 0) return
    const count = this.#held.length
    const ms = this.#held.reduce((sum, next) => sum + next, 0)
    const longestMs = Math.max(...this.#held)
    this.#held = []
    this.#log((logger) =>
      logger.warn(
        { event: 'stall', count, ms, longestMs },
        `the event loop stood still ${count} times more, for ${seconds(ms)} in all, ${seconds(longestMs)} at the longest`,
      ),
    )
  }
}

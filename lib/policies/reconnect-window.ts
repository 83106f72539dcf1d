import type { CloseReason } from '../../types/close.js'
import { closeReasons } from '../core/close-reason.js'

/** A second is the least that spreads anything. */
const leastMs = 1_000

/**
 * Tells clients when to come back, so that they do not come together. In a close frame's reason it reads
 * `<reason>; reconnect=<minMs>..<maxMs>`: pick a random moment in it. RFC 6455 leaves 123 bytes for it.
 */
export class ReconnectWindow {
  readonly #windowMs: number
  readonly #restart: boolean

  constructor(config: { spreadMs: number; restart: boolean }) {
    this.#windowMs = Math.max(leastMs, config.spreadMs)
    this.#restart = config.restart
  }

  closeFrame(reason: CloseReason): { code: number; message: string } {
    const { webSocketCode = 1000, reconnect } = closeReasons[reason]
    const code = reason === 'drain' && !this.#restart ? 1001 : webSocketCode
    if (reconnect === 'no') return { code, message: reason }
    const least = reconnect === 'later' ? this.#windowMs : 0
    return { code, message: `${reason}; reconnect=${least}..${least + this.#windowMs}` }
  }

  /** A random moment in the window, for clients that get a number: `retry:` and `Retry-After`. */
  pickMs(): number {
    return Math.round(Math.random() * this.#windowMs)
  }
}

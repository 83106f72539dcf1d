import type { CloseEvidence, CloseReason } from '../../types/close.js'
import type { Shed } from '../../types/events.js'
import type { Logger } from '../../types/logger.js'
import type { Clock } from '../core/clock.js'
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

/** One structured line a close, and one a window for what was refused. */
export class CloseLog {
  readonly #logger: Logger
  readonly #clock: Clock
  #windowStart = 0
  #lines = 0
  #held = new Map<CloseReason, number>()
  #refused = new Map<string, number>()

  constructor(logger: Logger, clock: Clock) {
    this.#logger = logger
    this.#clock = clock
  }

  note(connection: PeerConnection): void {
    const { id, protocol, remoteAddress, closeReason: reason, evidence } = connection
    if (reason === undefined || evidence === undefined) return
    if (++this.#lines > maxLinesPerWindow) {
      this.#held.set(reason, (this.#held.get(reason) ?? 0) + 1)
      return
    }
    // The evidence stays an object of its own: `level` and `message` are the logger's words.
    const fields = { event: 'connection:close', id, protocol, remoteAddress, reason, evidence }
    const message = `connection ${id} (${protocol}, ${remoteAddress}) closed: ${reason}${inWords(evidence)}`
    if (alarming.has(reason)) this.#logger.warn(fields, message)
    else this.#logger.info(fields, message)
  }

  /** Refusals come by the thousand when they come: they are told once a window, the sockets cut at accept among them. */
  noteShed({ what, reason, detail, dryRun }: Shed): void {
    const key = `${what} (${reason}: ${detail}${dryRun ? ', dry run' : ''})`
    // The detail names a level and a percentage, so there are few; a bound all the same.
    const bounded =
      this.#refused.has(key) || this.#refused.size < maxLinesPerWindow ? key : `${what} (${reason})`
    this.#refused.set(bounded, (this.#refused.get(bounded) ?? 0) + 1)
  }

  /** Ends a window: sums up what was held back. Called every tick. */
  flush(): void {
    if (this.#clock.now - this.#windowStart < windowMs) return
    this.#windowStart = this.#clock.now
    this.#lines = 0
    if (this.#refused.size > 0) {
      const refused = this.#refused
      this.#refused = new Map()
      this.#logger.warn(
        { event: 'shed', refused: Object.fromEntries(refused) },
        `refused in ${span()}: ${listed(refused)}`,
      )
    }
    if (this.#held.size > 0) {
      const held = this.#held
      this.#held = new Map()
      const level = [...held.keys()].some((reason) => alarming.has(reason)) ? 'warn' : 'info'
      const fields = { event: 'connection:close', reasons: Object.fromEntries(held) }
      this.#logger[level](
        fields,
        `more connections closed in ${span()}, without a line each: ${listed(held)}`,
      )
    }
  }
}

const span = () => seconds(windowMs)
const listed = (counts: ReadonlyMap<string, number>) =>
  [...counts].map(([what, count]) => `${count} x ${what}`).join(', ')

function inWords({ code, message, phase, ageMs, idleMs, webSocketCode }: CloseEvidence): string {
  const what = [code ?? message, webSocketCode === undefined ? undefined : `close code ${webSocketCode}`]
  const cause = what.filter((part) => part !== undefined).map((part) => `, ${part}`)
  return `${cause.join('')}; in phase ${phase}, open ${seconds(ageMs)}, idle ${seconds(idleMs)}`
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`
}

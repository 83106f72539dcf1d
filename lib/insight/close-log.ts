import type { CloseEvidence, CloseReason } from '../../types/close.js'
import type { Shed } from '../../types/events.js'
import type { Logger } from '../../types/logger.js'
import type { Clock } from '../core/clock.js'
import type { PeerConnection } from '../core/connection.js'
import { seconds } from '../core/describe.js'

type Level = 'debug' | 'info' | 'warn'
type Refused = Pick<Shed, 'what' | 'reason' | 'status' | 'dryRun' | 'detail'> & { count: number }

/** Lines of one level in one window; in a storm the rest is counted and summed up in one line. */
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

/** How an HTTP connection ends as a rule: thousands of times an hour. */
const ordinary: ReadonlySet<CloseReason> = new Set([
  'peer-closed',
  'server-closed',
  'idle-timeout',
  'lifetime',
  'drain',
])

/** One structured line a close, and one a window for what was refused. */
export class CloseLog {
  readonly #logger: Logger
  readonly #clock: Clock
  #windowStart = 0
  readonly #lines: Record<Level, number> = { debug: 0, info: 0, warn: 0 }
  readonly #held: Record<Level, Map<CloseReason, number>> = {
    debug: new Map(),
    info: new Map(),
    warn: new Map(),
  }
  #refused = new Map<string, Refused>()

  constructor(logger: Logger, clock: Clock) {
    this.#logger = logger
    this.#clock = clock
  }

  note(connection: PeerConnection): void {
    const { id, protocol, remoteAddress, closeReason: reason, evidence, endNotes } = connection
    if (reason === undefined || evidence === undefined) return
    const level = isTcpCheck(reason, evidence)
      ? 'debug'
      : levelOf(reason, protocol === 'http1' && endNotes?.terminated !== true)
    if (level === 'debug' && (this.#logger.debug === undefined || !this.#logger.isLevelEnabled?.('debug')))
      return
    if (++this.#lines[level] > maxLinesPerWindow) {
      const held = this.#held[level]
      held.set(reason, (held.get(reason) ?? 0) + 1)
      return
    }
    // The evidence stays an object of its own: `level` and `message` are the logger's words.
    const fields = { event: 'connection:close', id, protocol, remoteAddress, reason, evidence }
    const message = `connection ${id} (${protocol}, ${remoteAddress}) closed: ${reason}${inWords(evidence)}`
    this.#logger[level]?.(fields, message)
  }

  /** Refusals come by the thousand when they come: they are told once a window, the sockets cut at accept among them. */
  noteShed({ what, reason, status, detail, dryRun }: Shed): void {
    const key = `${what} ${reason} ${status} ${dryRun}`
    const refused = this.#refused.get(key)
    // The detail names a level and a percentage: of many, the last one is told.
    if (refused === undefined) this.#refused.set(key, { what, reason, status, dryRun, detail, count: 1 })
    else {
      refused.count++
      refused.detail = detail
    }
  }

  /** Ends a window: sums up what was held back. Called every tick. */
  flush(): void {
    if (this.#clock.now - this.#windowStart >= windowMs) this.sumUp()
  }

  /** Ends the window, also before its time. */
  sumUp(): void {
    const lasted = seconds(Math.min(this.#clock.now - this.#windowStart, windowMs))
    this.#windowStart = this.#clock.now
    if (this.#refused.size > 0) {
      const refused = [...this.#refused.values()]
      this.#refused.clear()
      const list = refused.map(
        ({ what, reason, detail, count, dryRun }) =>
          `${count} x ${what} (${reason}: ${detail}${dryRun ? ', dry run' : ''})`,
      )
      this.#logger.warn({ event: 'shed', refused }, `refused in ${lasted}: ${list.join(', ')}`)
    }
    for (const level of ['debug', 'info', 'warn'] as const) this.#sumUpLevel(level, lasted)
  }

  #sumUpLevel(level: Level, lasted: string): void {
    this.#lines[level] = 0
    const held = this.#held[level]
    if (held.size === 0) return
    const reasons = Object.fromEntries(held)
    const list = [...held].map(([reason, count]) => `${count} x ${reason}`).join(', ')
    held.clear()
    this.#logger[level]?.(
      { event: 'connection:close', reasons },
      `more connections closed in ${lasted}, without a line each: ${list}`,
    )
  }
}

/** A balancer that checks the port alone resets without a byte, every other second. */
function isTcpCheck(reason: CloseReason, { phase, bytesRead }: CloseEvidence): boolean {
  return reason === 'peer-reset' && phase === 'awaiting-request' && bytesRead === 0
}

function levelOf(reason: CloseReason, isHttpInOrder: boolean): Level {
  if (alarming.has(reason)) return 'warn'
  return isHttpInOrder && ordinary.has(reason) ? 'debug' : 'info'
}

function inWords({ code, message, limit, method, path, phase, ...numbers }: CloseEvidence): string {
  const { ageMs, idleMs, webSocketCode } = numbers
  // Of an eviction the message says what its limit was; an error that came after it says nothing.
  const what = [
    limit === undefined ? (code ?? message) : message,
    webSocketCode === undefined ? undefined : `close code ${webSocketCode}`,
  ]
  const cause = what.filter((part) => part !== undefined).map((part) => `, ${part}`)
  const request = method === undefined ? '' : ` (${method} ${path})`
  return `${cause.join('')}; in phase ${phase}${request}, open ${seconds(ageMs)}, idle ${seconds(idleMs)}`
}

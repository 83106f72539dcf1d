import type { PeerConnection } from '../core/connection.js'
import type { Endings } from '../core/endings.js'
import type { Registry } from '../core/registry.js'
import type { PressureAction } from './pressure-actions.js'

/** Pauses and resumes at one reading. */
const mostAtOnce = 16
/** A paused socket may hide its own reset, and its peer has waited long enough. */
const longestPauseMs = 2_000
/** Less than this between two readings is no heavy sender: a form, a chat message, a ping. */
const heavyBytes = 64 * 1024

/**
 * Stops reading from the heaviest senders while the pressure is high: their kernels fill up, and TCP slows them down.
 * They take turns: after a pause a connection is read again for two readings at least.
 */
export class ReadPauses {
  readonly #registry: Registry
  readonly #endings: Endings
  readonly #action: PressureAction
  /** What each had sent at the last reading; only while the action is on. */
  readonly #sent = new Map<PeerConnection, number>()
  /** Since when each is paused, in credited time; the longest paused comes first. */
  readonly #paused = new Map<PeerConnection, number>()

  constructor(registry: Registry, endings: Endings, action: PressureAction) {
    this.#registry = registry
    this.#endings = endings
    this.#action = action
  }

  get size(): number {
    return this.#paused.size
  }

  /** Called after every reading. */
  update(now: number): void {
    const { active } = this.#action
    if (!active && this.#paused.size === 0 && this.#sent.size === 0) return
    this.#resume((since) => !active || now - since >= longestPauseMs)
    if (active) this.#pauseHeaviest(now)
    else this.#sent.clear()
  }

  forget(connection: PeerConnection): void {
    this.#paused.delete(connection)
    this.#sent.delete(connection)
  }

  /** Everybody is read again, at once. */
  stop(): void {
    for (const connection of this.#paused.keys()) connection.resumeReading()
    this.#paused.clear()
    this.#sent.clear()
  }

  #resume(isOver: (since: number) => boolean): void {
    let left = mostAtOnce
    for (const [connection, since] of this.#paused) {
      if (left === 0 || !isOver(since)) return
      this.forget(connection)
      connection.resumeReading()
      left--
    }
  }

  #pauseHeaviest(now: number): void {
    const heavy: { connection: PeerConnection; bytes: number }[] = []
    for (const connection of this.#registry) {
      const before = this.#sent.get(connection)
      const sent = connection.knownInbound
      this.#sent.set(connection, sent)
      const bytes = before === undefined ? 0 : sent - before
      if (bytes >= heavyBytes && connection.state === 'open' && !this.#paused.has(connection))
        heavy.push({ connection, bytes })
    }
    heavy.sort((a, b) => b.bytes - a.bytes)
    for (const { connection } of heavy.slice(0, mostAtOnce)) {
      if (!this.#endings.dryRun && !connection.pauseReading()) continue
      this.#paused.set(connection, now)
      this.#action.count++
    }
  }
}

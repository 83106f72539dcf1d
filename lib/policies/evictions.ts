import type { PeerConnection } from '../core/connection.js'
import type { Endings } from '../core/endings.js'
import type { Registry } from '../core/registry.js'
import type { PressureAction } from './pressure-actions.js'

/** Ends of connections at one time. */
const mostAtOnce = 64
/** Until the memory of those that were evicted can show in a reading: a close frame's answer, a collection. */
const settleMs = 1_000
/** Where closing idle peers does not help, it is tried more and more seldom. */
const longestSettleMs = 60_000
/** Whoever had traffic since is in use. */
const leastIdleMs = 10_000

/** The last resort: ends the heaviest slow consumers and, when there is none, those that have been idle longest. */
export class Evictions {
  readonly #registry: Registry
  readonly #endings: Endings
  readonly #action: PressureAction
  #nextAt = 0
  #nextIdleAt = 0
  #idleSettleMs = settleMs
  #pressureBefore = Number.POSITIVE_INFINITY
  #collectionsBefore = 0

  constructor(registry: Registry, endings: Endings, action: PressureAction) {
    this.#registry = registry
    this.#endings = endings
    this.#action = action
  }

  /** Called after every reading. `collections`: how often memory was collected; `undefined` where it is not memory that presses. */
  update(now: number, pressure: number, collections: number | undefined): void {
    if (!this.#action.active) {
      this.#pressureBefore = Number.POSITIVE_INFINITY
      this.#collectionsBefore = 0
      return
    }
    if (now < this.#nextAt) return
    this.#nextAt = now + settleMs
    const open = this.#registry.all().filter(({ state }) => state === 'open' || state === 'draining')
    const slow = open.filter(
      (connection) => connection.congested && this.#endings.isFirst(connection, 'slow-consumer'),
    )
    if (slow.length > 0) {
      slow.sort((a, b) => b.bufferedSample - a.bufferedSample)
      this.#end(slow, (connection) => {
        const message = `${connection.bufferedSample} bytes wait for the peer, and the pressure is at pressure.actions.evict`
        this.#endings.evict(connection, 'pressure.actions.evict', message)
      })
      return
    }
    if (!this.#mayEndIdle(now, pressure, collections)) return
    const idle = open.filter((connection) => this.#isIdle(connection, now))
    idle.sort((a, b) => a.active - b.active)
    this.#end(idle, (connection) => void this.#endings.close(connection, 'shed'))
  }

  /**
   * Idle peers have done nothing wrong, so closing them must help. What they held is free only after a collection: of
   * memory there is one before each round.
   */
  #mayEndIdle(now: number, pressure: number, collections: number | undefined): boolean {
    if (collections === undefined ? now < this.#nextIdleAt : collections <= this.#collectionsBefore)
      return false
    const hasHelped = pressure < this.#pressureBefore
    this.#idleSettleMs = hasHelped ? settleMs : Math.min(longestSettleMs, 2 * this.#idleSettleMs)
    this.#nextIdleAt = now + this.#idleSettleMs
    this.#collectionsBefore = collections ?? 0
    this.#pressureBefore = pressure
    return true
  }

  #isIdle(connection: PeerConnection, now: number): boolean {
    return (
      now - connection.active >= leastIdleMs &&
      !connection.transport.isBusy(connection) &&
      this.#endings.isFirst(connection, 'shed')
    )
  }

  #end(connections: readonly PeerConnection[], end: (connection: PeerConnection) => void): void {
    for (const connection of connections.slice(0, mostAtOnce)) {
      end(connection)
      this.#action.count++
    }
  }
}

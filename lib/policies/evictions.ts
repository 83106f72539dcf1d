import type { PeerConnection } from '../core/connection.js'
import type { Endings } from '../core/endings.js'
import type { Registry } from '../core/registry.js'
import type { PressureAction } from './pressure-actions.js'

/** Ends of connections at one time. */
const mostAtOnce = 64
/** Until the memory of those that were evicted can show in a reading: a close frame's answer, a collection. */
const settleMs = 1_000
/** Whoever had traffic since is in use. */
const leastIdleMs = 10_000

/** The last resort: ends the heaviest slow consumers and, when there is none, those that have been idle longest. */
export class Evictions {
  readonly #registry: Registry
  readonly #endings: Endings
  readonly #action: PressureAction
  #nextAt = 0

  constructor(registry: Registry, endings: Endings, action: PressureAction) {
    this.#registry = registry
    this.#endings = endings
    this.#action = action
  }

  /** Called after every reading. */
  update(now: number): void {
    if (!this.#action.active || now < this.#nextAt) return
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
    const idle = open.filter((connection) => this.#isIdle(connection, now))
    idle.sort((a, b) => a.active - b.active)
    this.#end(idle, (connection) => void this.#endings.close(connection, 'shed'))
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

import { never } from '../core/connection.js'
import type { Pressure } from './pressure.js'

/** What is asked of the memory. */
export interface Reclaim {
  /** Called after every reading. */
  turn(calm: number): void
  /** Called at the ticks between. */
  sample(): void
  /** About how long a collection would stop the loop. */
  readonly expectedMs: number
  /** `thorough`: also what only a second collection finds. */
  collect(thorough: boolean): { readonly tookMs: number; readonly isWorthIt: boolean }
}

/** Their pressure may be garbage, or memory that is kept. */
const ofMemory: ReadonlySet<string> = new Set(['container', 'heap', 'rss'])
/** A collection stops the loop; it may take one per cent of the time, and where it finds nothing while requests are served, a tenth of that. */
const leastWaitPerMs = 100
const mostWaitPerMs = 1_000
const leastWaitMs = 1_000
const mostWaitMs = 60_000

/**
 * Sees to it that pressure of memory ends. Whoever refuses work allocates nothing, so V8 collects nothing, and the
 * reading stays where it was for ever. When the pressure has lasted for a dwell, what is dead is collected, and what is
 * then resident without being used is no pressure any more.
 */
export class WayBack {
  /** Collections since the pressure began. */
  collections = 0
  readonly #reclaim: Reclaim
  readonly #calm: number
  readonly #dwellMs: number
  #since = never
  #nextAt = 0
  #waitMs = 0
  /** Before that a collection would take more than its part of the time. */
  #soonestAt = 0
  #refusedAll = false

  /** `calm`: below it whatever is done under pressure ends by itself. */
  constructor(reclaim: Reclaim, calm: number, dwellMs: number) {
    this.#reclaim = reclaim
    this.#calm = calm
    this.#dwellMs = Math.max(leastWaitMs, dwellMs)
  }

  /** Whether it is memory that presses. */
  isOfMemory({ monitor }: Pressure): boolean {
    return ofMemory.has(monitor)
  }

  /** Called at the ticks between, unless the pressure is far from any threshold. */
  sample(): void {
    this.#reclaim.sample()
  }

  /**
   * Called after every reading. `isPressed`: anything is done under pressure. `mayCollect`: this is no dry run.
   * `refusesAll`: nobody's request waits for the loop, and nothing has V8 collect by itself. While requests are served it
   * has time for that, the more the larger the heap.
   */
  update(
    pressure: Pressure,
    now: number,
    { isPressed, mayCollect, refusesAll }: { isPressed: boolean; mayCollect: boolean; refusesAll: boolean },
  ): void {
    this.#reclaim.turn(this.#calm)
    const beginsToRefuse = refusesAll && !this.#refusedAll
    this.#refusedAll = refusesAll
    if (!isPressed) {
      this.#since = never
      this.collections = 0
      return
    }
    if (this.#since === never) {
      this.#since = now
      this.#waitMs = this.#dwellMs
      this.#nextAt = now + this.#dwellMs
    }
    // How seldom it was worth it while requests were served says nothing of now.
    if (beginsToRefuse) {
      this.#waitMs = this.#dwellMs
      this.#nextAt = Math.min(this.#nextAt, Math.max(now + this.#dwellMs, this.#soonestAt))
    }
    if (!mayCollect || now < this.#nextAt || !this.isOfMemory(pressure)) return
    // Below that all of it ends by itself.
    if (pressure.pressure < this.#calm) return
    if (!refusesAll && now < this.#since + this.#reclaim.expectedMs * leastWaitPerMs) return
    const { tookMs, isWorthIt } = this.#reclaim.collect(refusesAll)
    this.collections++
    const leastMs = Math.max(this.#dwellMs, tookMs * leastWaitPerMs)
    const mostMs = Math.max(mostWaitMs, tookMs * (refusesAll ? leastWaitPerMs : mostWaitPerMs))
    // Where there is no garbage, it is looked for more and more seldom.
    this.#waitMs = isWorthIt ? leastMs : Math.min(mostMs, 2 * Math.max(this.#waitMs, leastMs))
    this.#nextAt = now + this.#waitMs
    this.#soonestAt = now + leastMs
  }
}

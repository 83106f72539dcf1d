import type { CheckStatus } from '../../types/health.js'
import type { PressureLevel } from '../../types/monitor.js'
import type { Vitals } from '../core/vitals.js'

/** `probes.pressure`. */
export interface LoadReadinessConfig {
  readonly failAfterMs: number
  readonly maxOutMs: number
}

/**
 * What readiness says of the pressure. A process that refuses every request is not ready: in the rotation it would help
 * nobody. While it still serves, its load goes onto the others when it is out, and the next one falls: so then it goes
 * only when the pressure stays critical, comes back after a time even if it still is, and then stays for as long as
 * it was away. Of a fleet under load, half at most is out.
 */
export class LoadReadiness {
  readonly #config: LoadReadinessConfig | false
  #isOut = false
  #outSince = 0
  #staysUntil = Number.NEGATIVE_INFINITY

  constructor(config: LoadReadinessConfig | false) {
    this.#config = config
  }

  /** `levelMs`: for how long it has been this level. */
  judge(
    level: PressureLevel,
    levelMs: number,
    now: number,
    refuses: Vitals['refuses'] = 'none',
  ): { status: CheckStatus; output: string } {
    const words = `the pressure is ${level}`
    if (refuses === 'all' && this.#config)
      return { status: 'fail', output: `${words}; every request is refused` }
    // Out of the rotation nobody would come, and all of them at once when it is over.
    if (refuses === 'some')
      return { status: 'warn', output: `${words}; requests are let in again a few at a time` }
    if (level !== 'critical' || !this.#config) {
      if (this.#isOut) this.#comeBack(now)
      return { status: level === 'normal' ? 'pass' : 'warn', output: words }
    }
    const { failAfterMs, maxOutMs } = this.#config
    if (this.#isOut && now - this.#outSince >= maxOutMs) this.#comeBack(now)
    if (!this.#isOut && levelMs >= failAfterMs && now >= this.#staysUntil) {
      this.#isOut = true
      this.#outSince = now
    }
    if (this.#isOut) return { status: 'fail', output: `${words}, for ${Math.round(levelMs / 1000)} s` }
    const back =
      now < this.#staysUntil ? '; ready again all the same, so that the others do not fall too' : ''
    return { status: 'warn', output: words + back }
  }

  /** Nobody may have asked for long, and then it was not kept away for all of that time. */
  #comeBack(now: number): void {
    const { maxOutMs } = this.#config as LoadReadinessConfig
    const backAt = Math.min(now, this.#outSince + maxOutMs)
    this.#isOut = false
    this.#staysUntil = 2 * backAt - this.#outSince
  }
}

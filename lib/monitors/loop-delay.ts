import type { Monitor } from '../../types/monitor.js'
import type { Clock } from '../core/clock.js'

/** A loop this late is at its limit: people notice half a second. */
const fullDelayMs = 500
const quantile = 0.99

/**
 * How late our own ticks were: the 99th percentile of the last 100, which are the last 10 s of a loop that turns. Costs
 * nothing, as the tick is there anyway. Of 100 it leaves out one, so a single stop of the loop says nothing yet.
 */
export function createLoopDelayMonitor(clock: Pick<Clock, 'latenessMs'>, acts: boolean): Monitor {
  const sorted = new Float64Array(clock.latenessMs.length)
  let p99Ms = 0
  return {
    name: 'eventLoopDelay',
    acts,
    read() {
      sorted.set(clock.latenessMs)
      sorted.sort()
      p99Ms = sorted[Math.ceil(quantile * sorted.length) - 1] ?? 0
      return p99Ms / fullDelayMs
    },
    describe: () => ({ p99Ms: Math.round(p99Ms), limitMs: fullDelayMs }),
  }
}

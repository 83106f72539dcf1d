import { type EventLoopUtilization, performance } from 'node:perf_hooks'
import type { Monitor } from '../../types/monitor.js'
import type { Clock } from '../core/clock.js'

/** A loop this late is at its limit: people notice half a second. */
const fullDelayMs = 500

/** How late our own tick was at worst since the last reading; costs nothing, as the tick is there anyway. */
export function createLoopDelayMonitor(clock: Clock, acts: boolean): Monitor {
  let lastMs = 0
  return {
    name: 'eventLoopDelay',
    acts,
    read() {
      lastMs = clock.peakLatenessMs
      clock.peakLatenessMs = 0
      return lastMs / fullDelayMs
    },
    describe: () => ({ delayMs: Math.round(lastMs), limitMs: fullDelayMs }),
  }
}

/** The share of the last window in which the loop was busy. Taken against process start it would say nothing about now. */
export function createLoopUtilizationMonitor(acts: boolean): Monitor {
  let last: EventLoopUtilization = performance.eventLoopUtilization()
  return {
    name: 'eventLoopUtilization',
    acts,
    read() {
      const now = performance.eventLoopUtilization()
      const { utilization } = performance.eventLoopUtilization(now, last)
      last = now
      return utilization
    },
  }
}

import { type EventLoopUtilization, performance } from 'node:perf_hooks'
import type { Monitor } from '../../types/monitor.js'

/**
 * The share of the time since the last reading in which the loop was busy. Taken against process start it would say
 * nothing about now.
 */
export function createLoopUtilizationMonitor(
  acts: boolean,
  read: () => EventLoopUtilization = () => performance.eventLoopUtilization(),
): Monitor {
  let last = read()
  let windowMs = 0
  return {
    name: 'eventLoopUtilization',
    acts,
    read() {
      const now = read()
      const activeMs = now.active - last.active
      windowMs = activeMs + now.idle - last.idle
      last = now
      // The loop's clocks are read one after the other: a difference can be above 1, or below 0, by a rounding.
      return windowMs > 0 ? Math.min(1, Math.max(0, activeMs / windowMs)) : 0
    },
    describe: () => ({ windowMs: Math.round(windowMs) }),
  }
}

import type { Monitor } from '../../types/monitor.js'
import type { ResolvedPressure } from '../../types/options.js'
import type { Clock } from '../core/clock.js'
import type { Registry } from '../core/registry.js'
import { createBufferedMonitor, createConnectionsMonitor } from './connections.js'
import { createLoopDelayMonitor, createLoopUtilizationMonitor } from './event-loop.js'
import { createHeapMonitor } from './heap.js'
import { memoryLimit } from './memory-limit.js'
import { createRssMonitor } from './rss.js'

/** The monitors that a configuration asks for. */
export function createMonitors(
  pressure: ResolvedPressure,
  clock: Clock,
  registry: Registry,
  caps: { totalBytes: number | undefined; maxConnections: number | false },
): Monitor[] {
  const monitors = [
    createLoopDelayMonitor(clock, pressure.eventLoop),
    createLoopUtilizationMonitor(pressure.eventLoop),
  ]
  if (pressure.memory)
    monitors.push(createHeapMonitor(), createRssMonitor(memoryLimit(pressure.memory.limitBytes)))
  if (caps.totalBytes !== undefined)
    monitors.push(createBufferedMonitor(() => registry.bufferedBytes, caps.totalBytes))
  if (caps.maxConnections !== false)
    monitors.push(createConnectionsMonitor(() => registry.size, caps.maxConnections))
  return monitors
}

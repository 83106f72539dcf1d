import type { Monitor } from '../../types/monitor.js'
import type { ResolvedPressure } from '../../types/options.js'
import type { Clock } from '../core/clock.js'
import type { Registry } from '../core/registry.js'
import { createBufferedMonitor } from './buffered.js'
import { type Cgroup, findCgroup } from './cgroup.js'
import { createConnectionsMonitor } from './connections.js'
import { createContainerMonitor } from './container.js'
import { createHeapMonitor } from './heap.js'
import { KeptMemory } from './kept-memory.js'
import { createLoopDelayMonitor } from './loop-delay.js'
import { createLoopUtilizationMonitor } from './loop-utilization.js'
import { memoryLimit } from './memory-limit.js'
import { createRssMonitor } from './rss.js'

/** The monitors that a configuration asks for. */
export function createMonitors(
  pressure: Pick<ResolvedPressure, 'eventLoop' | 'memory'>,
  clock: Pick<Clock, 'latenessMs'>,
  registry: Pick<Registry, 'bufferedBytes' | 'size'>,
  caps: { totalBytes: number | undefined; maxConnections: number | false },
  /** The control group that limits this process; `null`: none does. */
  cgroup: Cgroup | null = findCgroup() ?? null,
  kept: KeptMemory = new KeptMemory(),
): Monitor[] {
  const monitors = [
    createLoopDelayMonitor(clock, pressure.eventLoop),
    createLoopUtilizationMonitor(pressure.eventLoop),
  ]
  if (pressure.memory) {
    const limit = memoryLimit(pressure.memory.limitBytes)
    const container = cgroup === null ? undefined : createContainerMonitor(cgroup, undefined, kept)
    const rssActs = () => limit.source === 'option' || container?.isReadable !== true
    if (container !== undefined) monitors.push(container)
    monitors.push(createHeapMonitor(limit), createRssMonitor(limit, kept, rssActs))
  }
  if (caps.totalBytes !== undefined)
    monitors.push(createBufferedMonitor(() => registry.bufferedBytes, caps.totalBytes))
  if (caps.maxConnections !== false)
    monitors.push(createConnectionsMonitor(() => registry.size, caps.maxConnections))
  return monitors
}

import type { Monitor } from '../../types/monitor.js'

/** Open connections against the cap. Only reported: the cap refuses by itself. */
export function createConnectionsMonitor(count: () => number, maxConnections: number): Monitor {
  return {
    name: 'connections',
    acts: false,
    read: () => count() / maxConnections,
    describe: () => ({ maxConnections, connections: count() }),
  }
}

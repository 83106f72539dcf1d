import type { Monitor } from '../../types/monitor.js'

/** Open connections against the cap. Only reported: the cap refuses by itself. */
export function createConnectionsMonitor(count: () => number, maxConnections: number): Monitor {
  return {
    name: 'connections',
    acts: false,
    read: () => count() / maxConnections,
    describe: () => ({ maxConnections }),
  }
}

/** Outbound bytes of all connections against the total budget. Only reported: the budget evicts by itself. */
export function createBufferedMonitor(bytes: () => number, totalBytes: number): Monitor {
  return {
    name: 'buffered',
    acts: false,
    read: () => bytes() / totalBytes,
    describe: () => ({ limitBytes: totalBytes, bufferedBytes: bytes() }),
  }
}

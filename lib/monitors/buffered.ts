import type { Monitor } from '../../types/monitor.js'

/** Outbound bytes of all connections against the total budget. Only reported: the budget evicts by itself. */
export function createBufferedMonitor(bytes: () => number, totalBytes: number): Monitor {
  return {
    name: 'buffered',
    acts: false,
    read: () => bytes() / totalBytes,
    describe: () => ({ limitBytes: totalBytes, bufferedBytes: bytes() }),
  }
}

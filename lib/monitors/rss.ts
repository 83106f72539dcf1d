import type { Monitor } from '../../types/monitor.js'
import type { MemoryLimit } from './memory-limit.js'

/** Resident memory, Buffers included, against the container's or machine's limit. Beyond it the kernel ends the process. */
export function createRssMonitor(limit: MemoryLimit): Monitor {
  return {
    name: 'rss',
    acts: true,
    read: () => process.memoryUsage.rss() / limit.bytes,
    describe: () => ({ limitBytes: limit.bytes, limitSource: limit.source }),
  }
}

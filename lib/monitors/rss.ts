import type { Monitor } from '../../types/monitor.js'
import type { MemoryLimit } from './memory-limit.js'

/** Resident memory of this process, Buffers included, against the memory limit. Beyond it the kernel ends the process. */
export function createRssMonitor(
  limit: MemoryLimit,
  read: () => number = () => process.memoryUsage.rss(),
): Monitor {
  let rssBytes = 0
  return {
    name: 'rss',
    acts: true,
    read() {
      rssBytes = read()
      return rssBytes / limit.bytes
    },
    describe: () => ({ limitBytes: limit.bytes, limitSource: limit.source, rssBytes }),
  }
}

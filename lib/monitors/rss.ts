import type { Monitor } from '../../types/monitor.js'
import type { MemoryLimit } from './memory-limit.js'

/**
 * Resident memory of this process, Buffers included, against the memory limit. `acts` is asked at every reading: where the
 * kernel itself counts the container's memory, that is what it judges by, and RSS holds more (the pages of Node's own
 * binary, which are charged to whoever read them first: 25 to 40 MiB in `npm run bench -- small-container`).
 */
export function createRssMonitor(
  limit: MemoryLimit,
  acts: () => boolean = () => true,
  read: () => number = () => process.memoryUsage.rss(),
): Monitor {
  let rssBytes = 0
  return {
    name: 'rss',
    get acts() {
      return acts()
    },
    read() {
      rssBytes = read()
      return rssBytes / limit.bytes
    },
    describe: () => ({ limitBytes: limit.bytes, limitSource: limit.source, rssBytes }),
  }
}

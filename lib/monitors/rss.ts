import type { Monitor } from '../../types/monitor.js'
import { KeptMemory, KeptShare } from './kept-memory.js'
import type { MemoryLimit } from './memory-limit.js'

/**
 * Resident memory of this process, Buffers included, against the memory limit. `acts` is asked at every reading: where the
 * kernel itself counts the container's memory, that is what it judges by, and RSS holds more (the pages of Node's own
 * binary, which are charged to whoever read them first: 25 to 40 MiB in `npm run bench -- small-container`).
 * What was freed and is still resident counts as little as `kept` shows.
 */
export function createRssMonitor(
  limit: MemoryLimit,
  kept: KeptMemory = new KeptMemory(),
  acts: () => boolean = () => true,
  read: () => number = () => process.memoryUsage.rss(),
): Monitor {
  let rssBytes = 0
  // Beyond a limit that an option sets nobody is killed: there the process may move a little.
  const share = new KeptShare(kept, limit.source === 'option' ? limit.bytes / 32 : undefined)
  return {
    name: 'rss',
    get acts() {
      return acts()
    },
    read() {
      rssBytes = read()
      return (acts() ? share.needed(rssBytes, limit.bytes) : rssBytes) / limit.bytes
    },
    describe: () => ({
      limitBytes: limit.bytes,
      limitSource: limit.source,
      rssBytes,
      keptBytes: share.bytes,
    }),
  }
}

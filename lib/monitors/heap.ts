import { getHeapStatistics } from 'node:v8'
import type { Monitor } from '../../types/monitor.js'

/** V8's heap against its limit (`--max-old-space-size`). Beyond it V8 ends the process. */
export function createHeapMonitor(): Monitor {
  const limitBytes = getHeapStatistics().heap_size_limit
  return {
    name: 'heap',
    acts: true,
    read: () => getHeapStatistics().used_heap_size / limitBytes,
    describe: () => ({ limitBytes }),
  }
}

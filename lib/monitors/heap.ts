import { getHeapStatistics, type HeapInfo } from 'node:v8'
import type { Monitor } from '../../types/monitor.js'
import type { MemoryLimit } from './memory-limit.js'

export type HeapReading = Pick<HeapInfo, 'used_heap_size' | 'heap_size_limit' | 'external_memory'>

/**
 * What JavaScript holds, against the nearer of two limits. V8 ends the process when its heap passes its own
 * (`--max-old-space-size`). That limit knows nothing of Buffers, and in a small container V8 picks one above the
 * container's; so heap and external memory, in which Buffers are, count against the memory limit too.
 */
export function createHeapMonitor(memory: MemoryLimit, read: () => HeapReading = getHeapStatistics): Monitor {
  let latest: HeapReading | undefined
  const ofV8 = (heap: HeapReading) => heap.used_heap_size / heap.heap_size_limit
  const ofMemory = (heap: HeapReading) => (heap.used_heap_size + heap.external_memory) / memory.bytes
  return {
    name: 'heap',
    acts: true,
    read() {
      latest = read()
      return Math.max(ofV8(latest), ofMemory(latest))
    },
    describe() {
      const heap = latest ?? read()
      const isV8 = ofV8(heap) >= ofMemory(heap)
      return {
        limitBytes: isV8 ? heap.heap_size_limit : memory.bytes,
        limitSource: isV8 ? 'v8' : memory.source,
        usedBytes: heap.used_heap_size,
        externalBytes: heap.external_memory,
      }
    },
  }
}

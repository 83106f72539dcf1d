import { totalmem } from 'node:os'

/** The memory this process may use, and who says so. */
export interface MemoryLimit {
  readonly bytes: number
  readonly source: 'option' | 'container' | 'machine'
}

/** `process.constrainedMemory()` answers 0, undefined or 2^64 when there is no limit: only what is below the machine's memory is one. */
export function memoryLimit(option: number | 'auto'): MemoryLimit {
  if (option !== 'auto') return { bytes: option, source: 'option' }
  const machine = totalmem()
  const container = process.constrainedMemory?.() ?? 0
  return container > 0 && container < machine
    ? { bytes: container, source: 'container' }
    : { bytes: machine, source: 'machine' }
}

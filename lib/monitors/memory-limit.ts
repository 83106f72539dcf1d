import { totalmem } from 'node:os'
import { type Cgroup, type CgroupLimitSource, findCgroup } from './cgroup.js'

/** The memory this process may use, and who says so. */
export interface MemoryLimit {
  readonly bytes: number
  /**
   * `option`: `pressure.memory.limitBytes`. A file's name: the limit of the container's control group. `container`: what
   * Node knows of one, where it is tighter than what was found. `machine`: the machine's memory.
   */
  readonly source: 'option' | CgroupLimitSource | 'container' | 'machine'
}

/** Who knows of limits. */
export interface MemoryLimits {
  cgroup(): Cgroup | undefined
  /** 0, undefined or about 2^64 when there is none. */
  constrainedBytes(): number | undefined
  machineBytes(): number
}

const system: MemoryLimits = {
  cgroup: findCgroup,
  constrainedBytes: () => process.constrainedMemory?.(),
  machineBytes: totalmem,
}

/** `'auto'`: the tightest that is known, the container's or the machine's. Only what is below the machine's memory is a limit. */
export function memoryLimit(option: number | 'auto', limits: MemoryLimits = system): MemoryLimit {
  if (option !== 'auto') return { bytes: option, source: 'option' }
  const cgroup = limits.cgroup()
  const constrained = limits.constrainedBytes() || Number.POSITIVE_INFINITY
  const found: MemoryLimit[] = [
    { bytes: limits.machineBytes(), source: 'machine' },
    ...(cgroup === undefined ? [] : [{ bytes: cgroup.limitBytes, source: cgroup.limitSource }]),
    { bytes: constrained, source: 'container' },
  ]
  return found.reduce((tightest, limit) => (limit.bytes < tightest.bytes ? limit : tightest))
}

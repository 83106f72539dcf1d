import type { Monitor } from '../../types/monitor.js'
import type { Cgroup, CgroupVersion } from './cgroup.js'
import { type OpenFiles, openFiles } from './files.js'
import { KeptMemory, KeptShare } from './kept-memory.js'

/** The files that tell what a control group uses, and the line of `memory.stat` with what the kernel would drop. */
const accounts: Record<CgroupVersion, { usage: string; inactiveFile: RegExp }> = {
  v1: { usage: 'memory.usage_in_bytes', inactiveFile: /^total_inactive_file (\d+)$/m },
  v2: { usage: 'memory.current', inactiveFile: /^inactive_file (\d+)$/m },
}

/** Below this share of the limit the kernel is not asked for the page cache: leaving it out could only lower the reading. */
const fullLookAbove = 0.5

/**
 * The working set of the container: all that its control group uses, less the page cache that the kernel would drop
 * first, against the group's limit. Beyond that the kernel ends a process of the group. Child processes are in the
 * group, and so is whoever else runs in the container: nothing of theirs has to be added.
 *
 * The limit is the group's own, whatever `pressure.memory.limitBytes` says: that one is for this process alone.
 */
export function createContainerMonitor(
  cgroup: Cgroup,
  files: OpenFiles = openFiles(),
  kept: KeptMemory = new KeptMemory(),
): Monitor & { readonly isReadable: boolean } {
  const { version, directory, limitBytes, limitSource } = cgroup
  const { usage, inactiveFile } = accounts[version]
  let usageBytes = 0
  let workingSetBytes = 0
  let isReadable = true
  let isOpen = false
  const share = new KeptShare(kept)

  const bytesIn = (name: string, pattern: RegExp): number => {
    const path = `${directory}/${name}`
    const text = files.read(path)
    isReadable = false
    if (text === undefined) throw new Error(`the container's memory is unknown: ${path} cannot be read`)
    const [, digits] = pattern.exec(text) ?? []
    if (digits === undefined)
      throw new Error(`the container's memory is unknown: ${path} does not say it as expected`)
    isReadable = true
    return Number(digits)
  }

  return {
    name: 'container',
    acts: true,
    get isReadable() {
      return isReadable
    },
    read() {
      usageBytes = bytesIn(usage, /^(\d+)$/m)
      // Both are opened while there are descriptors left: later, under load, there may be none.
      const looksWhole = !isOpen || usageBytes > limitBytes * fullLookAbove
      const cached = looksWhole ? bytesIn('memory.stat', inactiveFile) : 0
      isOpen = true
      // The two files are not of one moment.
      workingSetBytes = Math.max(0, usageBytes - cached)
      return share.needed(workingSetBytes, limitBytes) / limitBytes
    },
    describe: () => ({
      limitBytes,
      limitSource,
      usageBytes,
      workingSetBytes,
      keptBytes: share.bytes,
      version,
    }),
    stop: () => files.close(),
  }
}

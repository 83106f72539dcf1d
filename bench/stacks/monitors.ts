import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Clock } from '../../lib/core/clock.js'
import { type Cgroup, cgroupLevels } from '../../lib/monitors/cgroup.js'
import { wholeFiles } from '../../lib/monitors/files.js'
import { createMonitors } from '../../lib/monitors/standard-monitors.js'
import type { Monitor } from '../../types/monitor.js'
import type { Commands } from '../harness/worker-main.js'

/** More than the caches of a core hold: walking through it leaves of the monitors what a busy server leaves of them. */
const otherWorkBytes = 16 * 1024 ** 2
const cacheLine = 64

/** So far below what is used that `memory.stat` is read each time. */
const limitBytes = 1

/** The group of this process, else files of the size that a kernel's have. */
function groupToRead(): { cgroup: Cgroup; isReal: boolean } {
  const levels = cgroupLevels()
  const directory = levels?.directories[0]
  if (levels?.version === 'v1' && wholeFiles.read(`${directory}/memory.usage_in_bytes`))
    return { cgroup: v1(`${directory}`), isReal: true }
  if (levels?.version === 'v2' && wholeFiles.read(`${directory}/memory.current`))
    return { cgroup: v2(`${directory}`), isReal: true }
  const folder = mkdtempSync(join(tmpdir(), 'peerpulse-bench-'))
  process.on('exit', () => rmSync(folder, { recursive: true }))
  writeFileSync(join(folder, 'memory.current'), '104857600\n')
  const lines = Array.from({ length: 45 }, (_, i) => `counter_number_${i} ${i * 1_048_576}\n`)
  writeFileSync(join(folder, 'memory.stat'), `${lines.join('')}inactive_file 10485760\n`)
  return { cgroup: v2(folder), isReal: false }
}

const v1 = (directory: string): Cgroup => ({
  version: 'v1',
  directory,
  limitBytes,
  limitSource: 'memory.limit_in_bytes',
})
const v2 = (directory: string): Cgroup => ({
  version: 'v2',
  directory,
  limitBytes,
  limitSource: 'memory.max',
})

/** All standard monitors, without a server. */
export default function start(): Commands {
  const { cgroup, isReal } = groupToRead()
  const monitors = createMonitors(
    { eventLoop: true, memory: { limitBytes: 'auto' } },
    new Clock(() => {}),
    { bufferedBytes: 0, size: 0 },
    { totalBytes: 1, maxConnections: 1 },
    cgroup,
  )
  const others = new Uint8Array(otherWorkBytes).fill(1)
  let sum = 0

  const chosen = (names: readonly string[]): Monitor[] => monitors.filter(({ name }) => names.includes(name))
  const readAll = (which: readonly Monitor[]) => {
    for (const monitor of which) sum += monitor.read() ?? 0
  }

  return {
    names: () => monitors.map(({ name }) => name),
    group: () => ({ isReal, version: cgroup.version }),
    /** Microseconds of CPU of one reading of these monitors, at this interval in a process that does nothing else. */
    async atIntervals(names: string[], count: number, intervalMs: number) {
      const which = chosen(names)
      let spent = 0
      for (let i = 0; i < count; i++) {
        await sleep(intervalMs)
        const before = process.cpuUsage()
        readAll(which)
        const { user, system } = process.cpuUsage(before)
        spent += user + system
      }
      return spent / count
    },
    /** The same with other work before each that is not counted. */
    between(names: string[], count: number) {
      const which = chosen(names)
      let spent = 0
      for (let i = 0; i < count; i++) {
        for (let at = 0; at < otherWorkBytes; at += cacheLine) sum += others[at] ?? 0
        const before = process.cpuUsage()
        readAll(which)
        const { user, system } = process.cpuUsage(before)
        spent += user + system
      }
      return spent / count
    },
    /** The same, one after the other without anything between. */
    backToBack(names: string[], count: number) {
      const which = chosen(names)
      const before = process.cpuUsage()
      for (let i = 0; i < count; i++) readAll(which)
      const { user, system } = process.cpuUsage(before)
      return (user + system) / count
    },
    /** So that nothing of the work could be left out. */
    sum: () => sum,
  }
}

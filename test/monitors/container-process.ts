import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { findCgroup } from '../../lib/monitors/cgroup.js'
import { createContainerMonitor } from '../../lib/monitors/container.js'

/** What the process in the container is told to do; each is answered by what `look` tells. */
export type Order = 'look' | 'grow'
export interface Look {
  readonly reading: number | undefined
  readonly told: Record<string, string | number>
  readonly directory: string
  readonly rssBytes: number
}

export const grownBytes = 96 * 1024 ** 2
const self = fileURLToPath(import.meta.url)
const held: Buffer[] = []
// Whoever started it is gone: so is its reason.
process.on('disconnect', () => process.exit())

if (process.argv[2] === 'child') {
  held.push(Buffer.alloc(grownBytes, 1))
  process.send?.('grown')
} else if (process.argv[1] === self) {
  process.on('message', (order: Order) => {
    if (order === 'look') look()
    else fork(self, ['child']).once('message', look)
  })
  process.send?.('ready')
}

function look(): void {
  const cgroup = findCgroup()
  if (cgroup === undefined) throw new Error('no control group was found')
  const monitor = createContainerMonitor(cgroup)
  const reading = monitor.read()
  const told = monitor.describe?.() ?? {}
  monitor.stop?.()
  process.send?.({ reading, told, directory: cgroup.directory, rssBytes: process.memoryUsage.rss() })
}

import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Container } from './worker.js'

/** A group that has just been killed stays busy for a moment. */
const removals = { tries: 40, everyMs: 50 }

interface Layout {
  readonly kind: string
  readonly base: string
  /** What must be there for it to be this one. */
  readonly sign: string
  readonly limit: string
  readonly peak: string
}

const layouts: readonly Layout[] = [
  {
    kind: 'cgroup v1',
    base: '/sys/fs/cgroup/memory',
    sign: 'memory.limit_in_bytes',
    limit: 'memory.limit_in_bytes',
    peak: 'memory.max_usage_in_bytes',
  },
  {
    kind: 'cgroup v2',
    base: '/sys/fs/cgroup',
    sign: 'cgroup.subtree_control',
    limit: 'memory.max',
    peak: 'memory.peak',
  },
]

/** A cgroup with a limit of memory: the kernel kills what is in it and takes more. */
export class MemoryContainer implements Container {
  readonly kind: string
  readonly enter: string
  readonly #folder: string
  readonly #peakFile: string

  private constructor({ kind, base, limit, peak }: Layout, limitBytes: number) {
    this.kind = kind
    this.#folder = `${base}/peerpulse-bench-${process.pid}-${Math.trunc(performance.now())}`
    mkdirSync(this.#folder)
    try {
      writeFileSync(`${this.#folder}/${limit}`, String(limitBytes))
    } catch (error) {
      rmdirSync(this.#folder)
      throw error
    }
    this.enter = `echo $$ > '${this.#folder}/cgroup.procs'`
    this.#peakFile = `${this.#folder}/${peak}`
  }

  /** `undefined` where this machine does not let us make one. */
  static make(limitBytes: number): MemoryContainer | undefined {
    for (const layout of layouts) {
      if (!existsSync(`${layout.base}/${layout.sign}`)) continue
      try {
        return new MemoryContainer(layout, limitBytes)
      } catch {
        // Not ours to make, or without the memory controller.
      }
    }
    return undefined
  }

  /** The most that was charged to it, the cache of files and the kernel's part included. */
  get peakBytes(): number {
    try {
      return Number(readFileSync(this.#peakFile, 'utf8'))
    } catch {
      return Number.NaN
    }
  }

  /** Once nobody is in it any more. */
  async remove(): Promise<void> {
    for (let i = 0; i < removals.tries; i++) {
      try {
        return rmdirSync(this.#folder)
      } catch {
        await sleep(removals.everyMs)
      }
    }
    console.error(`could not remove ${this.#folder}`)
  }
}

import { readFileSync } from 'node:fs'

const lookMs = 100

/** `VmRSS`: resident memory; `VmHWM`: the most it has ever been. Read from outside, so that a process that hangs is seen too. */
function statusBytes(pid: number, field: 'VmRSS' | 'VmHWM'): number | undefined {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8')
    const kiB = new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1]
    return kiB === undefined ? undefined : Number(kiB) * 1024
  } catch {
    return undefined
  }
}

/** Whether there is a `/proc` to read another process's memory from. */
export const canWatchMemory = statusBytes(process.pid, 'VmRSS') !== undefined

/** Follows the resident memory of a process until it is stopped or the process is gone. */
export class MemoryWatch {
  readonly seen: { atS: number; value: number }[] = []
  /** The most that was resident at any moment, between two looks too. */
  peakBytes = 0
  /** When `limitBytes` was passed, in seconds since the watch began. */
  passedAtS: number | undefined
  readonly #pid: number
  readonly #began = performance.now()
  readonly #timer: NodeJS.Timeout

  /** `onPassed` is called once, when more than `limitBytes` are resident. */
  constructor(pid: number, limitBytes = Number.POSITIVE_INFINITY, onPassed: () => void = () => {}) {
    this.#pid = pid
    const look = () => {
      const bytes = statusBytes(pid, 'VmRSS')
      if (bytes === undefined) return this.stop()
      this.#notePeak()
      const atS = (performance.now() - this.#began) / 1000
      this.seen.push({ atS, value: bytes / 1024 ** 2 })
      if (bytes <= limitBytes || this.passedAtS !== undefined) return
      this.passedAtS = atS
      onPassed()
    }
    this.#timer = setInterval(look, lookMs)
    look()
  }

  stop(): void {
    clearInterval(this.#timer)
    this.#notePeak()
  }

  #notePeak(): void {
    this.peakBytes = Math.max(this.peakBytes, statusBytes(this.#pid, 'VmHWM') ?? 0)
  }
}

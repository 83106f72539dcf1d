import type { PressureChange } from '../../types/events.js'
import type { Monitor, PressureLevel } from '../../types/monitor.js'
import type { ResolvedPressure } from '../../types/options.js'
import { never } from '../core/connection.js'

const ranks: Record<PressureLevel, number> = { normal: 0, elevated: 1, critical: 2 }

/** Reads the monitors and keeps the level: up at once, down only below the leave threshold and after the dwell. */
export class Pressure {
  level: PressureLevel = 'normal'
  /** Credited time of the last change. */
  since = 0
  /** The highest reading of those monitors that act. */
  pressure = 0
  monitor = 'none'
  readonly readings: Record<string, number> = {}
  readonly #config: ResolvedPressure
  readonly #monitors: readonly Monitor[]
  readonly #onChange: (change: PressureChange) => void
  readonly #onMonitorError: (monitor: string, error: unknown) => void
  readonly #broken = new Set<Monitor>()
  #startedAt = never

  constructor(
    config: ResolvedPressure,
    monitors: readonly Monitor[],
    onChange: (change: PressureChange) => void,
    onMonitorError: (monitor: string, error: unknown) => void,
  ) {
    this.#config = config
    this.#monitors = monitors
    this.#onChange = onChange
    this.#onMonitorError = onMonitorError
  }

  get monitors(): readonly Monitor[] {
    return this.#monitors
  }

  /** Reads every monitor. Called about twice a second. */
  update(now: number): void {
    if (this.#startedAt === never) this.#startedAt = now
    this.pressure = 0
    this.monitor = 'none'
    for (const monitor of this.#monitors) this.#read(monitor)
    if (now - this.#startedAt < this.#config.warmUpMs) return
    const next = this.#nextLevel(now)
    if (next === this.level) return
    const previous = this.level
    this.level = next
    this.since = now
    this.#onChange({
      level: next,
      previous,
      pressure: this.pressure,
      monitor: this.monitor,
      readings: { ...this.readings },
    })
  }

  /** Past the middle between critical and full: even what has priority is refused. */
  get extreme(): boolean {
    return this.level === 'critical' && this.pressure >= (this.#config.enter[1] + 1) / 2
  }

  stop(): void {
    for (const monitor of this.#monitors) monitor.stop?.()
  }

  #read(monitor: Monitor): void {
    if (this.#broken.has(monitor)) return
    try {
      const reading = monitor.read()
      if (reading === undefined || !Number.isFinite(reading)) return
      this.readings[monitor.name] = reading
      if (monitor.acts && reading > this.pressure) {
        this.pressure = reading
        this.monitor = monitor.name
      }
    } catch (error) {
      this.#broken.add(monitor)
      this.#onMonitorError(monitor.name, error)
    }
  }

  #nextLevel(now: number): PressureLevel {
    const { enter, leave, dwellMs } = this.#config
    const entered: PressureLevel =
      this.pressure >= enter[1] ? 'critical' : this.pressure >= enter[0] ? 'elevated' : 'normal'
    if (ranks[entered] > ranks[this.level]) return entered
    if (now - this.since < dwellMs) return this.level
    if (this.level === 'critical' && this.pressure < leave[1])
      return this.pressure < leave[0] ? 'normal' : 'elevated'
    if (this.level === 'elevated' && this.pressure < leave[0]) return 'normal'
    return this.level
  }
}

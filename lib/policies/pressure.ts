import type { PressureChange } from '../../types/events.js'
import type { Monitor, PressureLevel } from '../../types/monitor.js'
import type { ResolvedPressure } from '../../types/options.js'
import { hear, isNumber, isThenable, plain, throwIt } from '../core/callbacks.js'
import { never } from '../core/connection.js'

const ranks: Record<PressureLevel, number> = { normal: 0, elevated: 1, critical: 2 }

/** A level's change, as the monitors tell it. */
export type LevelChange = Omit<PressureChange, 'holders'>

type PressureConfig = Pick<ResolvedPressure, 'enter' | 'leave' | 'dwellMs' | 'warmUpMs'>

/** Reads the monitors and keeps the level: up at once, down only below the leave threshold and after the dwell. */
export class Pressure {
  level: PressureLevel = 'normal'
  /** Credited time of the last change. */
  since = 0
  /** The highest reading of those monitors that act. */
  pressure = 0
  monitor = 'none'
  /** Set while requests are let in again little by little: `normal` it is only when that is over. */
  staysElevated = false
  readonly readings: Record<string, number> = {}
  readonly monitors: readonly Monitor[]
  readonly #config: PressureConfig
  readonly #onChange: (change: LevelChange) => void
  readonly #onMonitorError: (monitor: string, error: unknown, consequence?: string) => void
  readonly #broken = new Set<Monitor>()
  #startedAt = never

  constructor(
    config: PressureConfig,
    monitors: readonly Monitor[],
    onChange: (change: LevelChange) => void,
    onMonitorError: (monitor: string, error: unknown, consequence?: string) => void,
  ) {
    this.#config = config
    this.monitors = monitors
    this.#onChange = onChange
    this.#onMonitorError = onMonitorError
  }

  /** Reads every monitor. `false`: still warming up, nobody is to act on it. */
  update(now: number): boolean {
    if (this.#startedAt === never) this.#startedAt = now
    this.pressure = 0
    this.monitor = 'none'
    for (const monitor of this.monitors) if (!this.#broken.has(monitor)) this.#read(monitor)
    if (now - this.#startedAt < this.#config.warmUpMs) return false
    const next = this.#nextLevel(now)
    if (next === this.level) return true
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
    return true
  }

  /** Whether the level is this one or a higher one. */
  isAtLeast(level: PressureLevel): boolean {
    return ranks[this.level] >= ranks[level]
  }

  /** What a monitor says of itself; nothing where that throws. */
  describe(monitor: Monitor): Record<string, number | string> {
    try {
      const failed = (error: unknown) => this.#onMonitorError(monitor.name, error)
      return { ...plain(monitor.describe?.(), isDescription, 'an object of numbers and texts', failed) }
    } catch (error) {
      this.#onMonitorError(monitor.name, error)
      return {}
    }
  }

  stop(): void {
    for (const monitor of this.monitors) {
      try {
        hear(monitor.stop?.(), (error) => this.#onMonitorError(monitor.name, error))
      } catch (error) {
        this.#onMonitorError(monitor.name, error)
      }
    }
  }

  #read(monitor: Monitor): void {
    try {
      const reading = plain(monitor.read(), isNumber, 'a number from 0 to 1, or undefined', throwIt)
      if (reading === undefined) {
        delete this.readings[monitor.name]
        return
      }
      const pressure = Math.min(1, Math.max(0, reading))
      this.readings[monitor.name] = pressure
      if (monitor.acts !== false && pressure > this.pressure) {
        this.pressure = pressure
        this.monitor = monitor.name
      }
    } catch (error) {
      this.#broken.add(monitor)
      delete this.readings[monitor.name]
      this.#onMonitorError(monitor.name, error, '; it is not read any more')
    }
  }

  #nextLevel(now: number): PressureLevel {
    const { enter, leave, dwellMs } = this.#config
    const entered: PressureLevel =
      this.pressure >= enter[1] ? 'critical' : this.pressure >= enter[0] ? 'elevated' : 'normal'
    if (ranks[entered] > ranks[this.level]) return entered
    if (now - this.since < dwellMs) return this.level
    const isCalm = this.pressure < leave[0] && !this.staysElevated
    if (this.level === 'critical' && this.pressure < leave[1]) return isCalm ? 'normal' : 'elevated'
    return this.level === 'elevated' && isCalm ? 'normal' : this.level
  }
}

function isDescription(value: unknown): value is Record<string, number | string> {
  return (
    typeof value === 'object' &&
    value !== null &&
    !isThenable(value) &&
    Object.values(value).every((item) => typeof item === 'number' || typeof item === 'string')
  )
}

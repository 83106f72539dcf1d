import type { Monitor } from '../../types/monitor.js'
import type { ResolvedPressure } from '../../types/options.js'
import type { PeerConnection } from '../core/connection.js'
import type { Endings } from '../core/endings.js'
import { lapMs } from '../core/lifecycle.js'
import type { Registry } from '../core/registry.js'
import { Evictions } from './evictions.js'
import { type LevelChange, Pressure } from './pressure.js'
import { PressureActions } from './pressure-actions.js'
import { ReadPauses } from './read-pauses.js'

/** Far from any threshold the monitors are read once in so many ticks, else twice as often. */
const calmTicksPerReading = 10
const calmPressure = 0.5

/** Reads the monitors from time to time, and has done what the pressure asks for. */
export class PressureControl {
  readonly pressure: Pressure
  readonly actions: PressureActions
  readonly #pauses: ReadPauses
  readonly #evictions: Evictions
  #ticks = 0

  constructor(
    config: ResolvedPressure,
    monitors: readonly Monitor[],
    registry: Registry,
    endings: Endings,
    onChange: (change: LevelChange) => void,
    onMonitorError: (monitor: string, error: unknown, consequence?: string) => void,
  ) {
    const given = new Set(config.monitors.map(({ name }) => name))
    const standard = monitors.filter(({ name }) => !given.has(name))
    this.pressure = new Pressure(config, [...standard, ...config.monitors], onChange, onMonitorError)
    this.actions = new PressureActions(config)
    const { pauseReading, evict } = this.actions.all
    this.#pauses = new ReadPauses(registry, endings, pauseReading)
    this.#evictions = new Evictions(registry, endings, evict)
  }

  get paused(): number {
    return this.#pauses.size
  }

  tick(now: number): void {
    const { pressure } = this
    const ticks = pressure.pressure < calmPressure ? calmTicksPerReading : calmTicksPerReading / 2
    if (this.#ticks++ % ticks !== 0 || !pressure.update(now)) return
    this.actions.update(pressure, now, lapMs)
    this.#pauses.update(now)
    this.#evictions.update(now)
  }

  /** Called for every connection, once a lap. */
  look(connection: PeerConnection, now: number): void {
    if (this.actions.isRescaling(now)) connection.reschedule()
  }

  leaving(connection: PeerConnection): void {
    this.#pauses.forget(connection)
  }

  stop(): void {
    this.#pauses.stop()
    this.pressure.stop()
  }
}

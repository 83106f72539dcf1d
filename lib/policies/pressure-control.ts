import type { Monitor, PressureActionName } from '../../types/monitor.js'
import type { ResolvedPressure } from '../../types/options.js'
import type { Snapshot } from '../../types/peerpulse.js'
import type { PeerConnection } from '../core/connection.js'
import type { Endings } from '../core/endings.js'
import type { Feature } from '../core/feature.js'
import { lapMs } from '../core/lifecycle.js'
import type { Registry } from '../core/registry.js'
import type { Reports } from '../core/reports/reports.js'
import type { Vitals } from '../core/vitals.js'
import { Evictions } from './evictions.js'
import { describeHolders, topHolders } from './holders.js'
import { type LevelChange, Pressure } from './pressure.js'
import { PressureActions } from './pressure-actions.js'
import { ReadPauses } from './read-pauses.js'
import { Reopening } from './reopening.js'
import { type Reclaim, WayBack } from './way-back.js'

/** Far from any threshold the monitors are read once in so many ticks, else twice as often. */
const calmTicksPerReading = 10
const calmPressure = 0.5

/** Reads the monitors from time to time, and has done what the pressure asks for. */
export class PressureControl implements Feature {
  readonly name = 'pressure'
  readonly pressure: Pressure
  readonly actions: PressureActions
  readonly reopening = new Reopening()
  readonly #endings: Endings
  readonly #vitals: Vitals
  readonly #wayBack: WayBack
  readonly #pauses: ReadPauses
  readonly #evictions: Evictions
  readonly #leastEnter: number
  /** Whether it was memory that pressed last. */
  #isMemorys = false
  #ticks = 0

  constructor(
    config: ResolvedPressure,
    monitors: readonly Monitor[],
    registry: Registry,
    endings: Endings,
    reclaim: Reclaim,
    reports: Reports,
    vitals: Vitals,
  ) {
    this.#vitals = vitals

    const given = new Set(config.monitors.map(({ name }) => name))
    const standard = monitors.filter(({ name }) => !given.has(name))
    this.pressure = new Pressure(
      config,
      [...standard, ...config.monitors],
      (change) => {
        vitals.level = change.level
        vitals.levelSince = this.pressure.since
        tell(change, registry, reports)
      },
      (monitor, error, consequence) => reports.callbackFailed(`monitor '${monitor}'`, error, consequence),
    )
    this.actions = new PressureActions(config)
    this.#endings = endings
    const { enter, leave } = this.actions.least
    this.#leastEnter = enter
    this.#wayBack = new WayBack(reclaim, leave, config.dwellMs)
    const { pauseReading, evict } = this.actions.all
    this.#pauses = new ReadPauses(registry, endings, pauseReading)
    this.#evictions = new Evictions(registry, endings, evict)
  }

  snapshot(into: Snapshot): void {
    const { pressure, actions } = this
    const { level, since, monitors, readings } = pressure
    into.pressure.level = level
    into.pressure.sinceMs -= since
    for (const monitor of monitors)
      into.pressure.monitors[monitor.name] = {
        pressure: readings[monitor.name],
        ...pressure.describe(monitor),
      }
    for (const [name, { active, count }] of Object.entries(actions.all))
      into.pressure.actions[name as PressureActionName] = { active, count }
    into.pressure.timeoutScale = actions.timeoutScale
    into.pressure.paused = this.#pauses.size
  }

  tick(now: number): void {
    const { pressure } = this
    const ticks = pressure.pressure < calmPressure ? calmTicksPerReading : calmTicksPerReading / 2
    if (this.#ticks++ % ticks !== 0) {
      if (ticks < calmTicksPerReading) this.#wayBack.sample()
      return
    }
    const isWarm = pressure.update(now)
    this.#vitals.pressure = pressure.pressure
    this.#vitals.monitor = pressure.monitor
    // A collection stops the loop, so it is nothing for a pulse that only watches.
    const { all } = this.actions
    const asked = { isPressed: this.#isPressed, refusesAll: all.refuseRequests.active }
    this.#wayBack.update(pressure, now, { ...asked, mayCollect: !this.#endings.dryRun })
    if (!isWarm) return
    this.#act(now)
    this.#pauses.update(now)
    this.#evictions.update(now, pressure.pressure, this.#collections)
  }

  /** An action may have a threshold below the first level's. */
  get #isPressed(): boolean {
    return this.pressure.level !== 'normal' || this.actions.isAnyActive
  }

  #act(now: number): void {
    const { pressure, actions, reopening } = this
    const { refuseRequests } = actions.all
    const refused = refuseRequests.active
    actions.update(pressure, now, lapMs)
    // What reads more than the rest once a refusal ends is not what it was for.
    const least = refused ? refuseRequests.leaveAt : this.#leastEnter
    if (pressure.pressure >= least) this.#isMemorys = this.#wayBack.isOfMemory(pressure)
    else if (!this.#isPressed && !refused) this.#isMemorys = false
    if (refuseRequests.active) reopening.stop()
    else if (refused && this.#isMemorys) reopening.start(pressure.pressure)
    else reopening.update(pressure.pressure, refuseRequests.at ?? 1)
    this.#vitals.timeoutScale = actions.timeoutScale
    if (!this.#endings.dryRun)
      this.#vitals.refuses = refuseRequests.active ? 'all' : reopening.isActive ? 'some' : 'none'
    pressure.staysElevated = reopening.isActive || (refuseRequests.active && this.#isMemorys)
  }

  /** How often memory was collected under this pressure; `undefined` where it is not memory, or only watched. */
  get #collections(): number | undefined {
    return this.#isMemorys && !this.#endings.dryRun ? this.#wayBack.collections : undefined
  }

  /** Called for every connection, once a lap. */
  look(connection: PeerConnection, now: number): void {
    if (this.actions.isRescaling(now)) connection.reschedule()
  }

  closed(connection: PeerConnection): void {
    this.#pauses.forget(connection)
  }

  stop(): void {
    this.#pauses.stop()
    this.pressure.stop()
  }
}

/** The change of a level, with those that hold most: they may be why. */
function tell(change: LevelChange, registry: Registry, reports: Reports): void {
  const { level, previous, monitor, pressure } = change
  const holders = topHolders(registry.all())
  const message = `pressure is ${level} (was ${previous}): ${monitor} at ${Math.round(pressure * 100)} %; ${describeHolders(holders)}`
  reports.log((logger) => logger.warn({ event: 'pressure:level', change: { ...change, holders } }, message))
  reports.emit('pressure:level', { ...change, holders })
}

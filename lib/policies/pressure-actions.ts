import type { PressureActionName } from '../../types/monitor.js'
import type { ResolvedPressure } from '../../types/options.js'
import { leaveThreshold } from '../core/hysteresis.js'
import type { Pressure } from './pressure.js'

/** Timeouts are at least this part of themselves, at a pressure of 1: a peer on a slow radio needs 2 s for a pong. */
const leastScale = 0.25
/** In steps, so that a pressure which trembles does not have every connection looked at again. */
const scaleSteps = 20

/** One action: its threshold, whether it is on, and what it has done. */
export class PressureAction {
  active = false
  /** What it did; in a dry run, what it would have done. */
  count = 0
  /** Pressure at which it comes on; `undefined`: it is switched off. */
  readonly at: number | undefined
  /** Below it the action ends. */
  readonly leaveAt: number
  readonly #level: 'elevated' | 'critical' | undefined
  #since = 0

  constructor(
    threshold: number | 'elevated' | 'critical' | false,
    { enter, leave }: Pick<ResolvedPressure, 'enter' | 'leave'>,
  ) {
    this.#level = typeof threshold === 'string' ? threshold : undefined
    this.at =
      threshold === 'elevated' ? enter[0] : threshold === 'critical' ? enter[1] : threshold || undefined
    this.leaveAt = leaveThreshold(this.at ?? 1, { enter, leave })
  }

  update(pressure: Pressure, now: number, dwellMs: number): void {
    if (this.at === undefined) return
    const next =
      this.#level === undefined ? this.#next(pressure, now, dwellMs) : pressure.isAtLeast(this.#level)
    if (next === this.active) return
    this.active = next
    this.#since = now
  }

  #next({ pressure }: Pressure, now: number, dwellMs: number): boolean {
    if (!this.active) return pressure >= (this.at as number)
    return now - this.#since < dwellMs || pressure >= this.leaveAt
  }
}

/** What is done under pressure, each with a threshold of its own. */
export class PressureActions {
  readonly all: Readonly<Record<PressureActionName, PressureAction>>
  /** What idle and heartbeat timeouts are multiplied with. */
  timeoutScale = 1
  readonly #config: ResolvedPressure
  /** Until when the deadlines that were set by a larger scale are set anew, in credited time. */
  #rescaleUntil = 0

  constructor(config: ResolvedPressure) {
    this.#config = config
    const action = (name: PressureActionName) => new PressureAction(config.actions[name], config)
    this.all = {
      closeConnections: action('closeConnections'),
      shortenTimeouts: action('shortenTimeouts'),
      refuseUpgrades: action('refuseUpgrades'),
      refuseRequests: action('refuseRequests'),
      pauseReading: action('pauseReading'),
      evict: action('evict'),
    }
  }

  get isAnyActive(): boolean {
    return Object.values(this.all).some(({ active }) => active)
  }

  /** The lowest pressure at which anything begins, a level included, and the one below which all has ended. */
  get least(): { readonly enter: number; readonly leave: number } {
    const { enter, leave } = this.#config
    const on = Object.values(this.all).filter(({ at }) => at !== undefined)
    return {
      enter: Math.min(enter[0], ...on.map(({ at }) => at as number)),
      leave: Math.min(leave[0], ...on.map(({ leaveAt }) => leaveAt)),
    }
  }

  /** Called after every reading. `lapMs`: in what time every connection is looked at. */
  update(pressure: Pressure, now: number, lapMs: number): void {
    const { dwellMs } = this.#config
    for (const action of Object.values(this.all)) action.update(pressure, now, dwellMs)
    const scale = this.#scaleAt(pressure.pressure)
    if (scale < this.timeoutScale) {
      if (this.timeoutScale === 1) this.all.shortenTimeouts.count++
      this.#rescaleUntil = now + lapMs
    }
    this.timeoutScale = scale
  }

  /** Whether a connection's deadlines were set when timeouts were longer. */
  isRescaling(now: number): boolean {
    return now <= this.#rescaleUntil && this.#rescaleUntil > 0
  }

  /** From 1 at the action's threshold down to the least at a pressure of 1. */
  #scaleAt(pressure: number): number {
    const { active, at } = this.all.shortenTimeouts
    if (!active || at === undefined) return 1
    const part = at >= 1 ? 1 : Math.min(1, Math.max(0, (pressure - at) / (1 - at)))
    return Math.round((1 - part * (1 - leastScale)) * scaleSteps) / scaleSteps
  }
}

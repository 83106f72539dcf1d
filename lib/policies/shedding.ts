import type { IncomingMessage } from 'node:http'
import { isNumber, plain } from '../core/callbacks.js'
import type { Refusal } from '../core/refusal.js'
import type { Reports } from '../core/reports/reports.js'
import type { PressureAction } from './pressure-actions.js'
import type { PressureControl } from './pressure-control.js'

/** Says which work is refused at which pressure: upgrades first, then requests, in the order of their priority. */
export class Shedding {
  readonly #control: PressureControl
  readonly #dwellMs: number
  readonly #priority: ((req: IncomingMessage) => number) | undefined
  readonly #reports: Reports

  constructor(
    control: PressureControl,
    config: { dwellMs: number; priority?: ((req: IncomingMessage) => number) | undefined },
    reports: Reports,
  ) {
    this.#control = control
    this.#dwellMs = config.dwellMs
    this.#priority = config.priority
    this.#reports = reports
  }

  upgrade(req: IncomingMessage): Refusal | undefined {
    return this.#refusalOf(this.#control.actions.all.refuseUpgrades, req)
  }

  request(req: IncomingMessage): Refusal | undefined {
    return this.#refusalOf(this.#control.actions.all.refuseRequests, req)
  }

  #refusalOf(action: PressureAction, req: IncomingMessage): Refusal | undefined {
    const refusal = this.#judge(action, req)
    const { reopening } = this.#control
    if (refusal !== undefined || action.at === undefined || !reopening.isActive) return refusal
    if (this.#priorityOf(req) > 0 || reopening.admits()) return undefined
    action.count++
    return this.#refusal()
  }

  #judge(action: PressureAction, req: IncomingMessage): Refusal | undefined {
    const { at, active } = action
    const { level, pressure } = this.#control.pressure
    if (at === undefined || (!active && (level === 'normal' || this.#priority === undefined)))
      return undefined
    const priority = this.#priorityOf(req)
    // What has a negative priority goes first, as soon as there is any pressure.
    if (!active && priority >= 0) return undefined
    if (priority > 0 && pressure < lastsUntil(at, priority)) return undefined
    action.count++
    return this.#refusal()
  }

  #priorityOf(req: IncomingMessage): number {
    if (this.#priority === undefined) return 0
    const failed = (error: unknown) => this.#reports.callbackFailed('pressure.priority', error)
    try {
      return plain(this.#priority(req), isNumber, 'a number', failed) ?? 0
    } catch (error) {
      failed(error)
      return 0
    }
  }

  /** Nothing gets better before the dwell is over; the jitter keeps the refused from coming back together. */
  #refusal(): Refusal {
    const { level, monitor, pressure } = this.#control.pressure
    const leastS = Math.max(1, Math.ceil(this.#dwellMs / 1000))
    return {
      status: 503,
      reason: 'shed',
      detail: `level ${level}, ${monitor} at ${Math.round(pressure * 100)} %`,
      retryAfterS: leastS + Math.floor(Math.random() * (leastS + 1)),
    }
  }
}

/** The pressure at which a positive priority helps no more: 1 half the way from the threshold to full, 2 two thirds, 3 three quarters. */
function lastsUntil(at: number, priority: number): number {
  const part = priority === Number.POSITIVE_INFINITY ? 1 : priority / (priority + 1)
  return part === 1 ? Number.POSITIVE_INFINITY : at + (1 - at) * part
}

import type { IncomingMessage } from 'node:http'
import type { Refusal } from '../core/refusal.js'
import type { Pressure } from './pressure.js'

/** Says which work is refused at which level: upgrades from `elevated`, requests from `critical`, priority last. */
export class Shedding {
  readonly #pressure: Pressure
  readonly #dwellMs: number
  readonly #priority: ((req: IncomingMessage) => number) | undefined
  readonly #onPriorityError: (error: unknown) => void

  constructor(
    pressure: Pressure,
    config: { dwellMs: number; priority?: ((req: IncomingMessage) => number) | undefined },
    onPriorityError: (error: unknown) => void,
  ) {
    this.#pressure = pressure
    this.#dwellMs = config.dwellMs
    this.#priority = config.priority
    this.#onPriorityError = onPriorityError
  }

  upgrade(req: IncomingMessage): Refusal | undefined {
    return this.#pressure.level === 'normal' || this.#isSpared(req) ? undefined : this.#refusal()
  }

  request(req: IncomingMessage): Refusal | undefined {
    return this.#pressure.level !== 'critical' || this.#isSpared(req) ? undefined : this.#refusal()
  }

  #isSpared(req: IncomingMessage): boolean {
    if (this.#priority === undefined || this.#pressure.extreme) return false
    try {
      return this.#priority(req) > 0
    } catch (error) {
      this.#onPriorityError(error)
      return false
    }
  }

  /** Nothing gets better before the dwell is over; the jitter keeps the refused from coming back together. */
  #refusal(): Refusal {
    const { level, monitor, pressure } = this.#pressure
    const leastS = Math.max(1, Math.ceil(this.#dwellMs / 1000))
    return {
      status: 503,
      reason: 'shed',
      detail: `level ${level}, ${monitor} at ${Math.round(pressure * 100)} %`,
      retryAfterS: leastS + Math.floor(Math.random() * (leastS + 1)),
    }
  }
}

/** Requests that are let in between the first two readings. */
const firstAllowance = 10
/** Below the pressure that refuses all, everything is served again within seconds, however little room there is. */
const leastGrowth = 1.25

/**
 * Lets requests in again a few at a time, twice as many from reading to reading while there is room for them: those which
 * were refused all come back, and what they take shows only in the next reading. Over when a reading has gone by
 * in which nobody had to be refused.
 */
export class Reopening {
  isActive = false
  #allowance = 0
  #left = 0
  #refused = 0
  #pressureBefore = 0

  start(pressure: number): void {
    this.isActive = true
    this.#allowance = firstAllowance
    this.#left = firstAllowance
    // Whoever may have come before this was known.
    this.#refused = 1
    this.#pressureBefore = pressure
  }

  stop(): void {
    this.isActive = false
  }

  /** Called after every reading. `most`: the pressure at which all would be refused again. */
  update(pressure: number, most: number): void {
    if (!this.isActive) return
    const room = most - pressure
    if (this.#refused === 0) {
      this.stop()
      return
    }
    // Half of the room is for what comes: a reading is of the past.
    const grown = Math.max(0, pressure - this.#pressureBefore)
    const factor = Math.min(2, Math.max(leastGrowth, room / (2 * grown)))
    this.#allowance = Math.max(firstAllowance, Math.floor(this.#allowance * factor))
    this.#left = this.#allowance
    this.#refused = 0
    this.#pressureBefore = pressure
  }

  /** Whether one more is let in. */
  admits(): boolean {
    if (!this.isActive || this.#left-- > 0) return true
    this.#refused++
    return false
  }
}

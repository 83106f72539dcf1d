import type { TimeSource } from '../../lib/core/clock.js'

/** Time that passes only when told to. */
export class FakeTime implements TimeSource {
  ms = 1_000_000
  #turn: (() => void) | undefined
  #every = 0
  #next = 0
  readonly #polls: (() => void)[] = []

  now(): number {
    return this.ms
  }
  epoch(): number {
    return this.ms
  }
  every(ms: number, turn: () => void): { ref(): unknown; unref(): unknown } {
    this.#turn = turn
    this.#every = ms
    this.#next = this.ms + ms
    return { ref() {}, unref() {} }
  }
  cancel(): void {
    this.#turn = undefined
  }
  afterPoll(run: () => void): void {
    this.#polls.push(run)
  }

  get running(): boolean {
    return this.#turn !== undefined
  }

  /** The loop turns freely for so long. */
  pass(ms: number): void {
    const end = this.ms + ms
    while (this.#turn !== undefined && this.#next <= end) {
      this.ms = this.#next
      this.#next += this.#every
      this.#turn()
      this.poll()
    }
    this.ms = end
  }

  /** The loop is blocked for so long; then its timer comes late, once, before the poll phase. */
  block(ms: number): void {
    this.ms += ms
    this.#next = this.ms + this.#every
    this.#turn?.()
  }

  /** The poll phase is over. */
  poll(): void {
    for (const run of this.#polls.splice(0)) run()
  }
}

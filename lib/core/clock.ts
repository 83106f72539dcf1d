import type { Socket } from 'node:net'
import { throwIt } from './callbacks.js'
import { outside } from './outside.js'

/** Where time comes from; tests inject their own. */
export interface TimeSource {
  /** Monotonic milliseconds. */
  now(): number
  /** Epoch milliseconds. */
  epoch(): number
  every(ms: number, turn: () => void): { ref(): unknown; unref(): unknown }
  cancel(timer: unknown): void
  /** Runs after the poll phase of this turn of the event loop. */
  afterPoll(run: () => void): void
}

export const systemTime: TimeSource = {
  now: () => performance.now(),
  epoch: () => Date.now(),
  every: (ms, turn) => outside(() => setInterval(turn, ms)),
  cancel: (timer) => clearInterval(timer as NodeJS.Timeout),
  afterPoll: (run) => void outside(() => setImmediate(run)),
}

/** One turn of the clock, in milliseconds. */
export const tickMs = 100
/** A tick this late is a stall: the loop did not turn, so no peer could be heard. */
const stallMs = 100
/** Stalls remembered, to translate credited time into epoch time and to tell what a connection lived through. */
const maxStalls = 256
/** An idle turn of the loop takes about this long, in ms; each one that is looked at may take a little longer. */
const quietMs = 0.02
const quietGrowth = 1.02
/** A busy loop is waited for so long at most to be quiet. */
const quietPatienceMs = 200
/** Node's timers go no further: one that is set to more comes at once. */
const longestTimerMs = 2 ** 31 - 1
/** Ticks whose lateness is remembered: the fewest that have a 99th percentile, 10 s of a loop that turns. */
const latenessTicks = 100

/** A call at a time that stalls do not move. */
interface RealDeadline {
  readonly at: number
  readonly run: () => void
}

interface Stall {
  /** Credited time at its end. */
  readonly at: number
  readonly lostMs: number
}

/**
 * The one timer of a pulse.
 *
 * `now` is *credited* time: monotonic milliseconds less the stalls of our own event loop. However late a tick comes, it
 * counts as one tick, so a stall moves every deadline by its own length, and no peer is judged for a time in which
 * nobody listened. After a late tick the work waits for the poll phase, so that bytes which arrived meanwhile are
 * heard before anyone is judged.
 */
export class Clock {
  /**
   * Credited milliseconds since the clock was made, in whole ticks: a plain property, and a deadline of whole ticks
   * falls on a tick, not just behind one.
   */
  now = 0
  #exact = 0
  stallCount = 0
  stalledMs = 0
  longestStallMs = 0
  /** How late each of the last ticks was, in no order; 0 where there was none yet. A free measure of the loop's delay. */
  readonly latenessMs = new Float64Array(latenessTicks)
  /** Told of every stall once it is over: when it began, in epoch milliseconds, and how long it was. */
  onStall: ((at: number, ms: number) => void) | undefined

  readonly #source: TimeSource
  readonly #turn: () => void
  readonly #onError: (error: unknown) => void
  readonly #deadlines = new Set<RealDeadline>()
  #running = false
  #timer: ReturnType<TimeSource['every']> | undefined
  #last = 0
  #ticks = 0
  #deferred = false
  #epochOffset = 0
  #stalls: Stall[] = []
  #referenced = false

  /** `onError`: told of what threw, in a tick or behind a poll phase, where it would end the process. */
  constructor(
    turn: () => void,
    source: TimeSource = systemTime,
    onError: (error: unknown) => void = throwIt,
  ) {
    this.#turn = turn
    this.#source = source
    this.#onError = onError
    this.#epochOffset = source.epoch()
  }

  start(): void {
    if (this.#running) return
    this.#running = true
    this.latenessMs.fill(0)
    this.#last = this.#source.now()
    this.#epochOffset = this.#source.epoch() - this.#exact
    this.#startTimer()
  }

  /** What was put off to a real time still comes. */
  stop(): void {
    this.#running = false
    this.#stopTimer()
  }

  #startTimer(): void {
    if (this.#timer !== undefined) return
    this.#timer = this.#source.every(tickMs, () => this.#onTimer())
    if (!this.#referenced) this.#timer.unref()
  }

  /** Unless somebody needs it still. */
  #stopTimer(): void {
    if (this.#timer === undefined || this.#running || this.#deadlines.size > 0) return
    this.#source.cancel(this.#timer)
    this.#timer = undefined
  }

  /** Keeps the process alive while a drain needs the clock. */
  hold(referenced: boolean): void {
    this.#referenced = referenced
    if (referenced) this.#timer?.ref()
    else this.#timer?.unref()
  }

  /** Monotonic time with stalls included, for deadlines that somebody else's clock set. */
  realNow(): number {
    return this.#source.now()
  }

  /**
   * Calls after a time in which stalls count: for limits that somebody else's clock sets, an orchestrator's for one. It
   * comes up to a tick late, and behind the poll phase after a stall, so that an answer which has arrived is heard. It
   * comes whatever the rest of a tick does, and when the clock was stopped meanwhile. Returns how to take it back.
   */
  afterReal(ms: number, run: () => void): () => void {
    const deadline = { at: this.#source.now() + ms, run }
    this.#deadlines.add(deadline)
    this.#startTimer()
    return () => {
      if (this.#deadlines.delete(deadline)) this.#stopTimer()
    }
  }

  /**
   * For work that would stop the loop if it were done in one go: `slice` does a bounded part of it, and says whether
   * there is more, which comes after the poll phase. What is returned starts it, and does nothing while it goes on.
   */
  inSlices(slice: () => boolean): () => void {
    let isWaiting = false
    const run = (): void => {
      isWaiting = false
      try {
        isWaiting = slice()
      } catch (error) {
        this.#onError(error)
      }
      if (isWaiting) this.#source.afterPoll(run)
    }
    return () => {
      if (!isWaiting) run()
    }
  }

  /**
   * Runs right behind a poll phase in which next to nothing was to be done: nearly all that had arrived has been accepted
   * and read then. Where the loop is never so quiet, the quietest turn of the last few has to do.
   */
  inQuietTurn(run: () => void): void {
    const latest = this.#source.now() + quietPatienceMs
    let last = Number.NEGATIVE_INFINITY
    let quiet = quietMs
    const look = (): void => {
      const now = this.#source.now()
      if (now - last <= quiet || now >= latest) {
        this.#guarded(run)
        return
      }
      last = now
      quiet *= quietGrowth
      this.#source.afterPoll(look)
    }
    this.#source.afterPoll(look)
  }

  #onTimer(): void {
    if (this.#deferred) return
    if (this.#source.now() - this.#last - tickMs < stallMs) {
      this.#tick()
      return
    }
    this.#deferred = true
    this.#source.afterPoll(() => {
      this.#deferred = false
      this.#tick()
    })
  }

  #tick(): void {
    const now = this.#source.now()
    for (const deadline of this.#deadlines) {
      if (deadline.at > now || !this.#deadlines.delete(deadline)) continue
      this.#guarded(deadline.run)
    }
    if (this.#running) this.#advance()
    else this.#stopTimer()
  }

  #guarded(run: () => void): void {
    try {
      run()
    } catch (error) {
      this.#onError(error)
    }
  }

  #advance(): void {
    const real = this.#source.now()
    const elapsed = real - this.#last
    this.#last = real
    const lateMs = Math.max(0, elapsed - tickMs)
    this.latenessMs[this.#ticks++ % latenessTicks] = lateMs
    this.#exact += lateMs < stallMs ? elapsed : tickMs
    this.now = Math.round(this.#exact / tickMs) * tickMs
    // The wall clock may jump, and does after a suspend.
    this.#epochOffset = this.#source.epoch() - this.#exact
    if (lateMs >= stallMs) this.#noteStall(lateMs)
    this.#guarded(this.#turn)
  }

  #noteStall(lostMs: number): void {
    this.stallCount++
    this.stalledMs += lostMs
    this.longestStallMs = Math.max(this.longestStallMs, lostMs)
    this.#stalls.push({ at: this.now, lostMs })
    if (this.#stalls.length > maxStalls) this.#stalls = this.#stalls.slice(maxStalls / 2)
    this.onStall?.(Math.round(this.#source.epoch() - lostMs), Math.round(lostMs))
  }

  /** Credited time as epoch milliseconds. */
  toEpoch(credited: number): number {
    let offset = this.#epochOffset
    for (let i = this.#stalls.length - 1; i >= 0; i--) {
      const stall = this.#stalls[i]
      if (stall === undefined || stall.at <= credited) break
      offset -= stall.lostMs
    }
    return Math.round(credited + offset)
  }

  /** How long the loop stalled since a credited time. */
  stalledSince(credited: number): number {
    let sum = 0
    for (let i = this.#stalls.length - 1; i >= 0; i--) {
      const stall = this.#stalls[i]
      if (stall === undefined || stall.at <= credited) break
      sum += stall.lostMs
    }
    return Math.round(sum)
  }
}

/**
 * A timer of its own, for the one thing that must come whatever became of a pulse and its clock: the end of a process
 * that was told to go. It keeps no process alive.
 */
export function lastResort(ms: number, run: () => void): void {
  setTimeout(run, Math.min(ms, longestTimerMs)).unref()
}

/** Node's own timer, for a socket that no clock looks at any more. */
export function endWhenSilent(socket: Socket, ms: number): void {
  socket.setTimeout(Math.min(ms, longestTimerMs))
}

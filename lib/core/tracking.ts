import type { CloseReason } from '../../types/close.js'
import type { Tracked } from '../../types/connection.js'
import { hear } from './callbacks.js'
import type { Clock } from './clock.js'
import { PeerpulseError } from './errors.js'
import type { Reports } from './reports/reports.js'
import type { Wheel } from './wheel.js'

/** How long a cleanup, or a stream without one, may outlive its connection. */
export const cleanupTimeoutMs = 5_000
/** Labels are the app's, yet might be made of user input: beyond this many, leaks are counted together. */
const maxLabels = 1_000

interface Holder {
  readonly id: number
  readonly protocol: string
  readonly remoteAddress: string
  readonly state: string
  readonly closeReason: CloseReason | undefined
}

class TrackedStream implements Tracked {
  readonly label: string
  readonly cleanup: ((reason: CloseReason) => unknown) | undefined
  ended = false
  siblings: Set<TrackedStream> | undefined

  constructor(label: string, cleanup: ((reason: CloseReason) => unknown) | undefined) {
    this.label = label
    this.cleanup = cleanup
  }
  dispose(): void {
    this.ended = true
    this.siblings?.delete(this)
  }
  [Symbol.dispose](): void {
    this.dispose()
  }
}

/** The streams tied to connections: cancels them at close, and counts those that live on. */
export class Tracking {
  readonly leaks = new Map<string, number>()
  /** Cleanups that have begun and not settled. A drain waits for them. */
  readonly settling = new Set<TrackedStream>()
  readonly #byConnection = new WeakMap<Holder, Set<TrackedStream>>()
  readonly #clock: Clock
  readonly #wheel: Wheel
  readonly #reports: Reports

  constructor(clock: Clock, wheel: Wheel, reports: Reports) {
    this.#clock = clock
    this.#wheel = wheel
    this.#reports = reports
  }

  track(holder: Holder, label: string, cleanup?: (reason: CloseReason) => unknown): Tracked {
    if (typeof label !== 'string' || label === '') throw invalid('the label must be a text')
    if (cleanup !== undefined && typeof cleanup !== 'function')
      throw invalid(`the cleanup of '${label}' must be a function`)
    const stream = new TrackedStream(label, cleanup)
    if (holder.state === 'closed') {
      this.#cancel(holder, [stream], holder.closeReason ?? 'server-closed')
      return stream
    }
    let streams = this.#byConnection.get(holder)
    if (streams === undefined) {
      streams = new Set()
      this.#byConnection.set(holder, streams)
    }
    stream.siblings = streams
    streams.add(stream)
    return stream
  }

  /** The connection closed: cancels what is tied to it. */
  release(holder: Holder, reason: CloseReason): void {
    const streams = this.#byConnection.get(holder)
    if (streams === undefined) return
    this.#byConnection.delete(holder)
    this.#cancel(holder, [...streams], reason)
  }

  #cancel(holder: Holder, streams: TrackedStream[], reason: CloseReason): void {
    for (const stream of streams) {
      if (stream.ended || stream.cleanup === undefined) continue
      try {
        const isPending = hear(
          stream.cleanup(reason),
          (error) => this.#failed(stream, error),
          () => this.#settled(stream),
        )
        if (isPending) this.settling.add(stream)
        else stream.dispose()
      } catch (error) {
        this.#failed(stream, error)
      }
    }
    const alive = streams.filter((stream) => !stream.ended)
    if (alive.length > 0)
      this.#wheel.after(this.#clock.now, cleanupTimeoutMs, () => this.#countLeaks(holder, alive))
  }

  #settled(stream: TrackedStream): void {
    stream.dispose()
    this.settling.delete(stream)
  }

  /** A cleanup that throws has not shown that its stream ended; we report it and call it ended, since nothing more can be done. */
  #failed(stream: TrackedStream, error: unknown): void {
    this.#settled(stream)
    this.#reports.callbackFailed(`cleanup of '${stream.label}'`, error)
  }

  #countLeaks({ id, protocol, remoteAddress }: Holder, streams: TrackedStream[]): void {
    for (const stream of streams) {
      const { label, ended } = stream
      if (ended) continue
      this.settling.delete(stream)
      const key = this.leaks.has(label) || this.leaks.size < maxLabels ? label : 'other'
      this.leaks.set(key, (this.leaks.get(key) ?? 0) + 1)
      this.#reports.warn(
        'PEERPULSE_WARN_LEAK',
        `'${label}' outlived its connection ${id} (${protocol}, ${remoteAddress}) by ${cleanupTimeoutMs / 1000} s: end it in its track() cleanup, or dispose it`,
      )
    }
  }
}

function invalid(problem: string): PeerpulseError {
  return new PeerpulseError('PEERPULSE_ERR_INVALID_ARGUMENT', `connection.track: ${problem}`)
}

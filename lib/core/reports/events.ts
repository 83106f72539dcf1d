import { type Channel, channel } from 'node:diagnostics_channel'
import { EventEmitter } from 'node:events'
import type { PeerpulseEvents } from '../../../types/events.js'
import { hear } from '../callbacks.js'
import { describe } from '../describe.js'
import { PeerpulseError } from '../errors.js'
import { nearestName } from '../nearest-name.js'

/** The name of an event. */
export type EventName = keyof PeerpulseEvents

/** Every event with its diagnostics channel: the one table. docs/events.md is held against it by a test. */
export const channels: Readonly<Record<EventName, Channel>> = {
  'connection:open': channel('peerpulse:connection:open'),
  'connection:close': channel('peerpulse:connection:close'),
  'connection:congested': channel('peerpulse:connection:congested'),
  'connection:drain': channel('peerpulse:connection:drain'),
  'pressure:level': channel('peerpulse:pressure:level'),
  shed: channel('peerpulse:shed'),
  'drain:phase': channel('peerpulse:drain:phase'),
  'check:change': channel('peerpulse:check:change'),
  stall: channel('peerpulse:stall'),
  warning: channel('peerpulse:warning'),
}

/** A listener for an event that never comes is a mistake that nobody would notice. */
function known(event: EventName, listener: unknown): EventName {
  if (typeof listener !== 'function')
    throw new PeerpulseError(
      'PEERPULSE_ERR_INVALID_ARGUMENT',
      `on: the listener of ${describe(event)} must be a function, not ${describe(listener)}`,
    )
  if (typeof event === 'string' && Object.hasOwn(channels, event)) return event
  const names = Object.keys(channels)
  const nearest = typeof event === 'string' ? nearestName(event, names) : undefined
  const fix = nearest === undefined ? `there are ${names.join(', ')}` : `did you mean '${nearest}'?`
  throw new PeerpulseError('PEERPULSE_ERR_INVALID_ARGUMENT', `on: unknown event ${describe(event)}, ${fix}`)
}

type Listener = (payload: unknown) => unknown

/**
 * The typed events of one pulse. A listener that throws or rejects harms neither the others nor us: it is handed to
 * `onError`. (A diagnostics_channel subscriber that throws is reported by Node as an uncaught exception on the next
 * tick; that is Node's rule, and not changed here.)
 */
export class Events {
  readonly #emitter = new EventEmitter().setMaxListeners(0)
  readonly #onError: (event: EventName, error: unknown, listener: Listener) => void

  constructor(onError: (event: EventName, error: unknown, listener: Listener) => void) {
    this.#onError = onError
  }

  on(event: EventName, listener: Listener): void {
    this.#emitter.on(known(event, listener), listener)
  }
  once(event: EventName, listener: Listener): void {
    this.#emitter.once(known(event, listener), listener)
  }
  off(event: EventName, listener: Listener): void {
    this.#emitter.off(known(event, listener), listener)
  }

  /** Whether anybody listens. Ask before building a payload. */
  wants(event: EventName): boolean {
    return this.#emitter.listenerCount(event) > 0 || channels[event].hasSubscribers
  }

  emit<E extends EventName>(event: E, payload: PeerpulseEvents[E]): void {
    if (this.#emitter.listenerCount(event) > 0) {
      for (const listener of this.#emitter.rawListeners(event) as Listener[]) {
        try {
          const returned = listener.call(this.#emitter, payload)
          if (returned !== undefined) hear(returned, (error) => this.#onError(event, error, listener))
        } catch (error) {
          this.#onError(event, error, listener)
        }
      }
    }
    if (channels[event].hasSubscribers) channels[event].publish(payload)
  }
}

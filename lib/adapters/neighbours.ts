import type { ResolvedConfig } from '../../types/options.js'
import { otherSignalHandlers } from './other-signal-handlers.js'

type NeighbourCode = 'PEERPULSE_WARN_TWO_HEARTBEATS' | 'PEERPULSE_WARN_SIGNAL_HANDLER'

/** Which pulses send heartbeats to the WebSockets of a server or a WebSocketServer. */
const beating = new WeakMap<object, Set<Neighbours>>()

const anotherPulse =
  'another pulse with a heartbeat is attached to the same server; pass heartbeat: false to one of the two'
const keptAlive =
  "a WebSocket has an isAlive flag and a listener for 'pong', so another heartbeat may run beside peerpulse's. It takes a " +
  'stall of the event loop for the silence of its peers, and ends healthy ones: remove it, or pass heartbeat: false'

/** Looks for others in the process who do our work, and would undo it. */
export class Neighbours {
  readonly name = 'neighbours'
  readonly #config: Pick<ResolvedConfig, 'heartbeat' | 'drain' | 'dryRun'>
  readonly #warnOnce: (code: NeighbourCode, message: string) => void
  readonly #targets = new Set<object>()

  constructor(
    config: Pick<ResolvedConfig, 'heartbeat' | 'drain' | 'dryRun'>,
    warnOnce: (code: NeighbourCode, message: string) => void,
  ) {
    this.#config = config
    this.#warnOnce = warnOnce
  }

  /** `targets`: what is attached, and has WebSockets. */
  attached(targets: readonly object[]): void {
    if (!this.#config.heartbeat) return
    for (const target of targets) {
      const pulses = beating.get(target) ?? new Set()
      beating.set(target, pulses.add(this))
      this.#targets.add(target)
      if (pulses.size > 1) this.#warnOnce('PEERPULSE_WARN_TWO_HEARTBEATS', anotherPulse)
    }
  }

  /** The app, or a library, keeps book of a WebSocket's pongs. */
  waitsForPongs(): void {
    this.#warnOnce('PEERPULSE_WARN_TWO_HEARTBEATS', keptAlive)
  }

  lookForSignalHandlers(): void {
    const { drain, dryRun } = this.#config
    if (!drain || dryRun) return
    const others = otherSignalHandlers(drain.signals)
    if (others.length === 0) return
    const words = others.map(({ signal, name }) => `${signal} (${name})`)
    this.#warnOnce(
      'PEERPULSE_WARN_SIGNAL_HANDLER',
      `another listener may end the process before the drain is done: ${words.join(', ')}. Do its work in drain.onSignal ` +
        'and remove it, or pass drain: { signals: [] } and await pulse.drain() in it',
    )
  }

  stop(): void {
    for (const target of this.#targets) beating.get(target)?.delete(this)
  }
}

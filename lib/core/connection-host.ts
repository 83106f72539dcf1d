import type { CloseReason } from '../../types/close.js'
import type { ConnectionPhase, OnDrain, Protocol } from '../../types/connection.js'
import type { Transport } from '../../types/transport.js'
import type { AbortGuard } from './abort-guard.js'
import type { Clock } from './clock.js'
import type { Tracking } from './tracking.js'
import type { Wheel } from './wheel.js'

/** How a protocol reads and ends its connections: stateless, one for all. */
export interface ConnectionTransport<C> extends Transport<C> {
  protocolOf(connection: C): Protocol
  phaseOf(connection: C): ConnectionPhase
  /** What a drain does with it, unless the app says otherwise. */
  onDrain(connection: C): OnDrain
}

/** What all connections of a pulse share. */
export interface ConnectionHost<C> {
  readonly clock: Clock
  readonly wheel: Wheel
  readonly closeTimeoutMs: number
  readonly heartbeats: { pings: number; pongs: number }
  readonly tracking: Tracking
  /** Makes the controllers of what the app may listen to. */
  readonly aborts: AbortGuard
  /** The configured idle timeout of a protocol. */
  idleTimeoutOf(protocol: Protocol): number | false
  /** What a peer is told about the end, and about when to come back. */
  readonly reconnect: {
    closeFrame(reason: CloseReason): { code: number; message: string }
    pickMs(): number
  }
  /** Something threw that must not reach the app. */
  failed(error: unknown): void
  /** Its turn on the wheel has come: asks every policy and schedules the next visit. */
  visit(connection: C): void
}

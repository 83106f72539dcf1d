import type { Shed } from '../../types/events.js'
import type { Snapshot } from '../../types/peerpulse.js'
import type { PeerConnection } from './connection.js'

/** A room that takes part in the life of connections. Each hook is called in a `try` of its own: one that throws stops no other room. */
export interface Feature {
  readonly name: string
  /** A connection was registered. */
  opened?(connection: PeerConnection): void
  /** A trusted proxy named the peer, whose address was `before`. */
  renamed?(connection: PeerConnection, before: string): void
  /** Called about once a tick, or once a second where there are very many connections. */
  look?(connection: PeerConnection, now: number): void
  /** The socket is gone; the reason and the evidence are there. */
  closed?(connection: PeerConnection): void
  /** Something was refused. */
  shed?(shed: Shed): void
  /** Called once a tick, after the connections. */
  tick?(now: number): void
  /** Adds its part. */
  snapshot?(into: Snapshot): void
  /** The pulse is detached; features that came last stop first. */
  stop?(): void | Promise<void>
}

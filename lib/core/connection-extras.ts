import type { CloseReason } from '../../types/close.js'
import type { OnDrain } from '../../types/connection.js'

/** A slow consumer's progress. */
export interface Backlog {
  /** When it was last seen to take bytes, and how many it had taken by then. */
  progressAt: number
  drained: number
  /** What the kernel held for it when it was last asked; `false` where it does not say. */
  queue?: number | false | undefined
}

/** A ping that waits behind our own bytes. */
export interface PongWait {
  /** How far they had drained at the ping, and when the pong was last given more time. */
  readonly drainedAtPing: number
  drained: number
  creditAt: number
}

/** What few connections need at any one time, apart from them so that the others do not pay for it. */
export class ConnectionExtras {
  idleTimeoutMs: number | false | undefined
  onDrain: OnDrain | undefined
  controller: AbortController | undefined
  /** What a dry run has told of it already. */
  dryRunReasons: Set<CloseReason> | undefined
  /** Silence before this is not the peer's: reading was paused. */
  judgedFrom = 0
  /** We stopped reading, to relieve pressure. */
  readPaused = false
  /** While it is congested. */
  backlog: Backlog | undefined
  pongWait: PongWait | undefined
}

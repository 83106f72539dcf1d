import type { ConnectionPhase } from './connection.js'
import type { PressureLevel } from './monitor.js'

/** Why a connection ended: a closed set, used in `closeReason`, in logs and as a metric label. See docs/close-reasons.md. */
export type CloseReason =
  | 'peer-closed'
  | 'peer-ended'
  | 'peer-reset'
  | 'half-open'
  | 'idle-timeout'
  | 'lifetime'
  | 'slow-consumer'
  | 'shed'
  | 'limit'
  | 'drain'
  | 'handshake-timeout'
  | 'protocol-error'
  | 'server-closed'
  | 'server-error'

/** What was known about a connection when it closed. Durations in milliseconds, sizes in bytes. */
export interface CloseEvidence {
  /** The error's code from the raw socket or the parser: `ECONNRESET`, `EPIPE`, `HPE_INVALID_METHOD`, `WS_ERR_INVALID_OPCODE`. */
  code?: string
  /** The error's message, escaped and cut to 200 characters; of a refusal, which limit, monitor or level; of an eviction, what the peer held and what it may. */
  message?: string
  /** Of a `slow-consumer`: the option whose limit it was at. */
  limit?: 'budget.stalledMs' | 'budget.perConnectionBytes' | 'budget.totalBytes' | 'pressure.actions.evict'
  /** HTTP: the method of the request in flight, else of the last one. */
  method?: string
  /** HTTP: that request's path, without query, escaped and cut to 200 characters. */
  path?: string
  /** What the connection was doing. */
  phase: ConnectionPhase
  /** How long it was open. */
  ageMs: number
  /** How long the peer had been silent. */
  silentMs: number
  /** How long there had been no application traffic. */
  idleMs: number
  bytesRead: number
  bytesWritten: number
  bufferedBytes: number
  rttMs?: number
  level: PressureLevel
  /** How long stalls of the event loop had lasted, within the minute before the close. */
  stalledMs: number
  /** The code of the peer's close frame; when it answered ours, the code we sent. */
  webSocketCode?: number
  /** The peer's close reason, escaped and cut to 123 characters. */
  webSocketReason?: string
}

/** One line of `history().closes`. */
export interface CloseRecord {
  id: number
  protocol: string
  remoteAddress: string
  openedAt: number
  closedAt: number
  reason: CloseReason
  evidence: CloseEvidence
}

/** One line of `history().peers`: what a peer did lately. */
export interface PeerRecord {
  /** An address; of IPv6 the prefix, as in `2001:db8:1:2::/64` (see `limits.ipv6PrefixBits`). */
  remoteAddress: string
  /** Connections it opened, those that are still open included. */
  opens: number
  closes: Partial<Record<CloseReason, number>>
  /** Epoch milliseconds of its first open in this record, and of its last open or close. */
  firstSeenAt: number
  lastSeenAt: number
}

/** What `pulse.history()` returns: plain JSON, newest first, bounded by `history.maxCloses` and `history.maxPeers`. */
export interface History {
  closes: CloseRecord[]
  peers: PeerRecord[]
}

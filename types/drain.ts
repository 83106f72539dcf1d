import type { ConnectionPhase, Protocol } from './connection.js'

/** `delay`: readiness fails, everything is still served. `closing`: peers are told, work in flight ends. `terminating`: the deadline passed. */
export type DrainPhase = 'delay' | 'closing' | 'terminating' | 'done'

/** How the connections of one protocol ended. */
export interface DrainCount {
  /** Ended in order, on our word or their own. */
  closed: number
  /** Had not ended in time and were destroyed. */
  terminated: number
}

/** The same, told apart, with the time of the first and the last in ms after the drain's start. */
export interface DrainEnds {
  /** Closed by the peer, or by a timeout, before the drain asked them to. */
  onTheirOwn: number
  /** Closed since the drain asked them to: a close frame that was answered, a last response. */
  onOurWord: number
  /** Destroyed as they had not answered their close frame within `drain.closeTimeoutMs`. */
  unanswered: number
  /** Destroyed at the deadline. */
  cutOff: number
  firstMs: number
  lastMs: number
}

/** A connection that was destroyed at the deadline, and what it was doing. */
export interface CutConnection {
  id: number
  protocol: Protocol
  remoteAddress: string
  phase: ConnectionPhase
  ageMs: number
  bufferedBytes: number
  /** Method and path of the request in flight, without its query, escaped and cut. */
  request?: string
}

/** What a drain did; plain JSON. */
export interface DrainReport {
  /** What was passed to `drain(why)`, or the signal's name. */
  why: string
  startedAt: number
  durationMs: number
  /** How long each phase lasted. */
  phases: Partial<Record<DrainPhase, number>>
  connections: Partial<Record<Protocol, DrainCount>>
  ends: Partial<Record<Protocol, DrainEnds>>
  /** Those that were cut off, 20 at most. */
  cut: CutConnection[]
  /** Whether `drain.deadlineMs` passed with connections left. */
  deadlineExceeded: boolean
  /** With `dryRun` nothing is closed: `connections` then counts what would have been. */
  dryRun: boolean
}

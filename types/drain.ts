import type { Protocol } from './connection.js'

/** `delay`: readiness fails, everything is still served. `closing`: peers are told, work in flight ends. `terminating`: the deadline passed. */
export type DrainPhase = 'delay' | 'closing' | 'terminating' | 'done'

/** How the connections of one protocol ended. */
export interface DrainCount {
  /** Ended in order, on our word or their own. */
  closed: number
  /** Had not ended in time and were destroyed. */
  terminated: number
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
  /** Whether `drain.deadlineMs` passed with connections left. */
  deadlineExceeded: boolean
  /** With `dryRun` nothing is closed: `connections` then counts what would have been. */
  dryRun: boolean
}

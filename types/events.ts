import type { CloseReason } from './close.js'
import type { Connection, Protocol } from './connection.js'
import type { DrainPhase } from './drain.js'
import type { CheckStatus, Probe } from './health.js'
import type { PressureLevel } from './monitor.js'

/** The level of pressure changed. */
export interface PressureChange {
  level: PressureLevel
  previous: PressureLevel
  /** The highest pressure of those monitors that act, and its monitor. */
  pressure: number
  monitor: string
  /** Every monitor's reading. */
  readings: Record<string, number>
  /** The five connections with most outbound bytes waiting, heaviest first; fewer where fewer have any. */
  holders: MemoryHolder[]
}

/** A connection that holds memory. */
export interface MemoryHolder {
  id: number
  remoteAddress: string
  protocol: Protocol
  /** Outbound bytes that wait in this process, as last looked at. */
  bufferedBytes: number
  ageMs: number
}

/** Work was refused, or would have been in a dry run. */
export interface Shed {
  what: 'request' | 'upgrade' | 'connection'
  reason: CloseReason
  /** What was sent: 503, 429, or `undefined` where the socket was destroyed at accept. */
  status: number | undefined
  /** One sentence: which limit, monitor or level. */
  detail: string
  remoteAddress: string
  dryRun: boolean
}

/** The event loop did not turn, so nobody was heard and nothing was sent. */
export interface Stall {
  /** Epoch milliseconds at which it began. */
  at: number
  /** How long it was: 100 or more. */
  ms: number
  /** Always `false` for now: a stall is told once it is over. */
  ongoing: boolean
}

/** The drain entered a phase. */
export interface DrainStep {
  phase: DrainPhase
  why: string
  /** Connections still there. */
  connections: number
}

/** A check's result is no longer what it was. */
export interface CheckChange {
  name: string
  probe: Probe
  status: CheckStatus
  previous: CheckStatus | undefined
  output: string | undefined
}

/** Something an operator should know. `code` is stable, see docs/errors.md. */
export interface Warning {
  code: string
  message: string
  /** What was thrown, if something was. */
  error?: unknown
}

/** Every event and what it passes. The same go to `diagnostics_channel`, as `peerpulse:<event>`. */
export interface PeerpulseEvents {
  'connection:open': Connection
  'connection:close': Connection
  'connection:congested': Connection
  'connection:drain': Connection
  'pressure:level': PressureChange
  shed: Shed
  'drain:phase': DrainStep
  'check:change': CheckChange
  stall: Stall
  warning: Warning
}

/**
 * Connection health for Node servers: heartbeats, idle timeouts, budget, drain, probes, and a reason for every close.
 *
 * @packageDocumentation
 */
export type * from '../types/close.js'
export type * from '../types/connection.js'
export type * from '../types/drain.js'
export type * from '../types/events.js'
export type { Check, CheckOptions, CheckStatus, Probe } from '../types/health.js'
export type * from '../types/logger.js'
export type { Monitor, PressureActionName, PressureLevel } from '../types/monitor.js'
export type * from '../types/options.js'
export type * from '../types/peerpulse.js'
export { type CloseReasonEntry, closeReasons } from './core/close-reason.js'
export {
  ConfigError,
  ConnectionClosedError,
  errorCodes,
  PeerpulseError,
  type PeerpulseErrorCode,
  type WarningCode,
  warningCodes,
} from './core/errors.js'
export { peerpulse, peerpulse as default } from './peerpulse.js'

import type { CloseReason } from '../../types/close.js'
import type { OnDrain } from '../../types/connection.js'
import { isCloseReason } from './close-reason.js'
import { describe } from './describe.js'
import { PeerpulseError } from './errors.js'

/** What an app may have got wrong about a connection. */
function invalid(problem: string): PeerpulseError {
  return new PeerpulseError('PEERPULSE_ERR_INVALID_ARGUMENT', `connection.${problem}`)
}

export function checkReason(method: string, reason: unknown): asserts reason is CloseReason {
  if (!isCloseReason(reason))
    throw invalid(`${method}: ${describe(reason)} is not a close reason; docs/close-reasons.md lists them`)
}

export function checkIdleTimeout(value: unknown): void {
  if (value === false || (typeof value === 'number' && Number.isFinite(value) && value > 0)) return
  throw invalid(`idleTimeoutMs: must be a number of milliseconds above 0, or false, not ${describe(value)}`)
}

export function checkOnDrain(value: unknown): asserts value is OnDrain {
  if (value !== 'end' && value !== 'finish')
    throw invalid(`onDrain: must be 'end' or 'finish', not ${describe(value)}`)
}

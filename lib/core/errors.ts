import type { CloseReason } from '../../types/close.js'

/** Base of every error that peerpulse throws. Test `code`, not the message. */
export class PeerpulseError extends Error {
  // Not taken from the class: a bundler that minifies gives that another name.
  override name = 'PeerpulseError'
  readonly code: PeerpulseErrorCode
  constructor(code: PeerpulseErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.code = code
  }
}

/** Every error code, with what it means. */
export const errorCodes = {
  PEERPULSE_ERR_CONFIG:
    'The options object is wrong: every problem is in `problems`, one a line in the message.',
  PEERPULSE_ERR_ATTACH_TARGET:
    'attach() got something that is neither an http or https server nor a WebSocketServer.',
  PEERPULSE_ERR_INVALID_ARGUMENT: 'A method got an argument it cannot use; the message names it.',
  PEERPULSE_ERR_DETACHED: 'The pulse was detached, and cannot be used again.',
  PEERPULSE_ERR_CHECK_TIMEOUT: 'A check did not answer within its time limit.',
  PEERPULSE_ERR_CONNECTION_CLOSED:
    'The reason of an aborted `connection.signal`; `closeReason` says why the connection closed.',
} as const

/** A stable error code. */
export type PeerpulseErrorCode = keyof typeof errorCodes

/** Every warning code of the `warning` event, with what it means. */
export const warningCodes = {
  PEERPULSE_WARN_NOT_ATTACHED:
    'The middleware answered a request, but the server was never attached: only probes and shedding work.',
  PEERPULSE_WARN_CALLBACK:
    "A listener, cleanup, hook or other callback of the app's threw, rejected or answered wrongly; it was caught.",
  PEERPULSE_WARN_LEAK: 'A tracked stream outlived its connection.',
  PEERPULSE_WARN_DRY_RUN: 'A dry run would have closed this connection, or begun this drain.',
  PEERPULSE_WARN_WS_INTERNALS:
    'This version of ws looks different inside; its sockets are watched as `upgraded`.',
  PEERPULSE_WARN_TWO_HEARTBEATS: 'Another heartbeat may run on the same WebSockets.',
  PEERPULSE_WARN_SIGNAL_HANDLER: 'Another listener of a signal may end the process before the drain is done.',
  PEERPULSE_WARN_SECONDS: 'An option has so few milliseconds that seconds must have been meant.',
  PEERPULSE_WARN_PROBES_PORT: 'The probes could not listen on `probes.port`.',
} as const

/** A stable warning code. */
export type WarningCode = keyof typeof warningCodes

/** The options were refused. `problems` has every problem as `path: what is wrong, and the fix`. Code `PEERPULSE_ERR_CONFIG`. */
export class ConfigError extends PeerpulseError {
  override name = 'ConfigError'
  readonly problems: readonly string[]
  constructor(problems: readonly string[]) {
    super(
      'PEERPULSE_ERR_CONFIG',
      `peerpulse: ${problems.length === 1 ? '' : `${problems.length} problems in the options:\n  `}${problems.join('\n  ')}`,
    )
    this.problems = problems
  }
}

/** The reason of an aborted `connection.signal`. Code `PEERPULSE_ERR_CONNECTION_CLOSED`. */
export class ConnectionClosedError extends PeerpulseError {
  override name = 'ConnectionClosedError'
  readonly closeReason: CloseReason
  constructor(closeReason: CloseReason, id: number) {
    super('PEERPULSE_ERR_CONNECTION_CLOSED', `connection ${id} closed: ${closeReason}`)
    this.closeReason = closeReason
  }
}

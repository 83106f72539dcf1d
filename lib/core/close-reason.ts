import type { CloseReason } from '../../types/close.js'

/** One close reason: what is sent for it, whether a client should come back, and what it means. */
export interface CloseReasonEntry {
  /** The close code we send on a WebSocket; `undefined` where the peer or the network ended it. */
  readonly webSocketCode: number | undefined
  /** Whether a client should reconnect: at once or by its usual back-off (`yes`), only after a longer wait (`later`), or not (`no`). */
  readonly reconnect: 'yes' | 'later' | 'no'
  readonly meaning: string
}

/**
 * Every close reason. Codes are those of RFC 6455 section 7.4.1 and the IANA registry: 1001 going away, 1012
 * service restart, 1013 try again later, which is sent wherever a client should come back later: some take the other codes
 * that would fit, 1008 and 1011, for final. docs/close-reasons.md is held against this table by a test.
 */
export const closeReasons: Readonly<Record<CloseReason, CloseReasonEntry>> = {
  'peer-closed': {
    webSocketCode: undefined,
    reconnect: 'no',
    meaning: 'The peer ended it in order: a close frame, or a FIN between requests.',
  },
  'peer-ended': {
    webSocketCode: undefined,
    reconnect: 'yes',
    meaning: 'The peer sent FIN without a close frame, or in the middle of a request or response.',
  },
  'peer-reset': {
    webSocketCode: undefined,
    reconnect: 'yes',
    meaning: 'The peer, or something on the way, reset it: ECONNRESET, EPIPE or ECONNABORTED.',
  },
  'half-open': {
    webSocketCode: undefined,
    reconnect: 'yes',
    meaning: 'The peer was gone without a word: no answer to the heartbeat or to TCP keepalive.',
  },
  'idle-timeout': {
    webSocketCode: 1001,
    reconnect: 'yes',
    meaning: 'No application traffic for the configured time.',
  },
  lifetime: {
    webSocketCode: 1001,
    reconnect: 'yes',
    meaning: 'It reached its maximum age, so that a fleet rebalances.',
  },
  'slow-consumer': {
    webSocketCode: 1013,
    reconnect: 'later',
    meaning: 'It did not read what was sent, and was evicted to protect the memory.',
  },
  shed: {
    webSocketCode: 1013,
    reconnect: 'later',
    meaning: 'It was refused or closed because the process is under pressure.',
  },
  limit: {
    webSocketCode: 1013,
    reconnect: 'later',
    meaning: 'It was above the cap on connections, in all or of one peer.',
  },
  drain: {
    webSocketCode: 1012,
    reconnect: 'yes',
    meaning: 'The server is shutting down or restarting; 1001 when it does not restart.',
  },
  'handshake-timeout': {
    webSocketCode: undefined,
    reconnect: 'yes',
    meaning: 'The TLS handshake, the request or the upgrade was not completed in time.',
  },
  'protocol-error': {
    webSocketCode: undefined,
    reconnect: 'no',
    meaning: 'The peer sent what its protocol does not allow.',
  },
  'server-closed': {
    webSocketCode: 1000,
    reconnect: 'no',
    meaning: 'The app closed it, or the response said `Connection: close`.',
  },
  'server-error': {
    webSocketCode: 1013,
    reconnect: 'later',
    meaning: 'The app threw, or destroyed it with an error.',
  },
}

/** Whether a value is one of the closed set. */
export function isCloseReason(value: unknown): value is CloseReason {
  return typeof value === 'string' && Object.hasOwn(closeReasons, value)
}

const resets = new Set(['ECONNRESET', 'EPIPE', 'ECONNABORTED'])
const unreachables = new Set(['ETIMEDOUT', 'EHOSTUNREACH', 'ENETUNREACH', 'EHOSTDOWN', 'ENETDOWN'])

/** The reason behind an error that was seen on a raw socket. */
export function reasonOfSocketError(code: string | undefined): CloseReason {
  if (code === undefined) return 'server-error'
  if (resets.has(code)) return 'peer-reset'
  if (unreachables.has(code)) return 'half-open'
  if (code.startsWith('HPE_') || code.startsWith('WS_ERR_') || code.startsWith('ERR_SSL_'))
    return 'protocol-error'
  return 'server-error'
}

import type { Connection } from '../../types/connection.js'

/** What a log or a debugger should show of a connection: no sockets, no internals. */
export function plainConnection(connection: Connection): object {
  const { id, protocol, state, phase, remoteAddress, remotePort, openedAt, lastSeenAt } = connection
  const { lastActiveAt, rttMs, bytesRead, bytesWritten, bufferedBytes, congested } = connection
  const { closeReason, evidence } = connection
  const times = { openedAt, lastSeenAt, lastActiveAt, rttMs }
  const bytes = { bytesRead, bytesWritten, bufferedBytes, congested }
  return {
    id,
    protocol,
    state,
    phase,
    remoteAddress,
    remotePort,
    ...times,
    ...bytes,
    closeReason,
    evidence,
  }
}

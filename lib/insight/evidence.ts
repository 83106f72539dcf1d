import type { CloseEvidence } from '../../types/close.js'
import type { PressureLevel } from '../../types/monitor.js'
import type { PeerConnection } from '../core/connection.js'
import { peerText } from '../core/peer-text.js'

/** How far back stalls are told. */
const stallWindowMs = 60_000

/** Writes down what is known of a connection in the moment its socket is gone. */
export function gatherEvidence(
  connection: PeerConnection,
  level: PressureLevel,
  frame: { code: number | undefined; reason: string } | undefined,
): CloseEvidence {
  const { clock } = connection.host
  const notes = connection.noteEnd()
  const evidence: CloseEvidence = {
    phase: notes.phase ?? connection.phase,
    ageMs: clock.now - connection.opened,
    silentMs: clock.now - connection.seen,
    idleMs: clock.now - connection.active,
    bytesRead: connection.bytesRead,
    bytesWritten: connection.bytesWritten,
    bufferedBytes: connection.bufferedSample,
    level,
    stalledMs: clock.stalledSince(Math.max(connection.opened, clock.now - stallWindowMs)),
  }
  if (connection.rttMs !== undefined) evidence.rttMs = Math.round(connection.rttMs * 10) / 10
  if (notes.errorCode !== undefined) evidence.code = notes.errorCode
  if (notes.errorMessage !== undefined) evidence.message = notes.errorMessage
  if (notes.limit !== undefined) evidence.limit = notes.limit
  const request = connection.exchange?.lastRequest()
  if (request?.method !== undefined) {
    evidence.method = request.method
    evidence.path = peerText(request.path)
  }
  if (frame?.code !== undefined) evidence.webSocketCode = frame.code
  if (frame !== undefined && frame.reason !== '') evidence.webSocketReason = peerText(frame.reason, 123)
  return evidence
}

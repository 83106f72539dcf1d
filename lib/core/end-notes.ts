import type { CloseEvidence, CloseReason } from '../../types/close.js'
import type { ConnectionPhase, Protocol } from '../../types/connection.js'
import type { Lingering } from './lingering.js'

/** What shows how and why a connection ends: made at the first sign of its end, as for most of its life there is none. */
export class EndNotes {
  closeReason: CloseReason | undefined
  evidence: CloseEvidence | undefined
  /** A reason for an end that waits until the response in flight is done. */
  pendingReason: CloseReason | undefined
  /** When we began to close it, in credited time. */
  closingSince: number | undefined
  /** Its last answer is sent while the request's body is still arriving. */
  lingering: Lingering | undefined
  /** It did not end in order: its socket was destroyed by us. */
  terminated = false
  /** The peer's FIN came, between requests or in the middle of one. */
  peerEnded: 'idle' | 'busy' | undefined
  serverWentFirst = false
  /** The peer sent more pings at once than `ws` answers. */
  floodedWithPings = false
  /** What it was doing when the cause was first known; once the socket is destroyed, Node calls a response done. */
  phase: ConnectionPhase | undefined
  /** What it spoke then: an event stream that was ended is an HTTP connection again, for a moment. */
  protocol: Protocol | undefined
  /** What the first error that its socket, the parser or the TLS handshake showed makes of its end. */
  errorReason: CloseReason | undefined
  errorCode: string | undefined
  errorMessage: string | undefined
  /** The option that it was evicted for. */
  limit: CloseEvidence['limit']
}

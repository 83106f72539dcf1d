import type { CloseEvidence, CloseReason } from '../../types/close.js'
import type { PeerConnection } from './connection.js'

/** The one door through which policies end connections, so that a dry run touches nobody. */
export class Endings {
  readonly dryRun: boolean
  readonly wouldHave = new Map<CloseReason, number>()
  readonly #report: (message: string) => void

  constructor(dryRun: boolean, report: (message: string) => void) {
    this.dryRun = dryRun
    this.#report = report
  }

  /** Orderly. `false`: dry run, it lives on. */
  close(connection: PeerConnection, reason: CloseReason): boolean {
    if (this.reportsOnly(connection, reason, 'closed')) return false
    connection.close(reason)
    return true
  }

  /** At once. `false`: dry run, it lives on. */
  terminate(connection: PeerConnection, reason: CloseReason): boolean {
    if (this.reportsOnly(connection, reason, 'terminated')) return false
    connection.terminate(reason)
    return true
  }

  /** A slow consumer. A WebSocket gets its close frame, though it will hardly read it; a response that is not read has no other end than the socket's. */
  evict(connection: PeerConnection, limit: NonNullable<CloseEvidence['limit']>, message: string): boolean {
    if (!this.dryRun) {
      const notes = connection.noteEnd()
      notes.limit ??= limit
      notes.errorMessage ??= message
    }
    return connection.protocol === 'websocket'
      ? this.close(connection, 'slow-consumer')
      : this.terminate(connection, 'slow-consumer')
  }

  /** With the present or next response. `false`: dry run, it lives on. */
  retire(connection: PeerConnection, reason: CloseReason): boolean {
    if (this.reportsOnly(connection, reason, 'closed after its next response')) return false
    connection.retire(reason)
    return true
  }

  /** Whether this end would be the first of its kind: in a dry run the connection lives on, and is looked at again. */
  isFirst(connection: PeerConnection, reason: CloseReason): boolean {
    return connection.extras?.dryRunReasons?.has(reason) !== true
  }

  /** Whether this is a dry run; then it is counted and told, once for a connection and reason. */
  reportsOnly(connection: PeerConnection, reason: CloseReason, how: string): boolean {
    if (!this.dryRun) return false
    const extras = connection.needExtras()
    extras.dryRunReasons ??= new Set()
    if (!extras.dryRunReasons.has(reason)) {
      extras.dryRunReasons.add(reason)
      this.countOnly(reason)
      const { id, protocol, remoteAddress } = connection
      this.#report(
        `dry run: connection ${id} (${protocol}, ${remoteAddress}) would have been ${how}: ${reason}`,
      )
    }
    return true
  }

  /** Counts what a dry run did not do. */
  countOnly(reason: CloseReason): void {
    this.wouldHave.set(reason, (this.wouldHave.get(reason) ?? 0) + 1)
  }
}

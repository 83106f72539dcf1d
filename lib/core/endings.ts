import type { CloseReason } from '../../types/close.js'
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
    if (this.#onlyReport(connection, reason, 'closed')) return false
    connection.close(reason)
    return true
  }

  /** At once. `false`: dry run, it lives on. */
  terminate(connection: PeerConnection, reason: CloseReason): boolean {
    if (this.#onlyReport(connection, reason, 'terminated')) return false
    connection.terminate(reason)
    return true
  }

  /** With the present or next response. `false`: dry run, it lives on. */
  retire(connection: PeerConnection, reason: CloseReason): boolean {
    if (this.#onlyReport(connection, reason, 'closed after its next response')) return false
    connection.retire(reason)
    return true
  }

  /** Counts a refusal that a dry run did not make. */
  countOnly(reason: CloseReason): void {
    this.wouldHave.set(reason, (this.wouldHave.get(reason) ?? 0) + 1)
  }

  #onlyReport(connection: PeerConnection, reason: CloseReason, how: string): boolean {
    if (!this.dryRun) return false
    if (connection.dryRunReason !== reason) {
      connection.dryRunReason = reason
      this.countOnly(reason)
      this.#report(
        `dry run: connection ${connection.id} (${connection.protocol}, ${connection.remoteAddress}) would have been ${how}: ${reason}`,
      )
    }
    return true
  }
}

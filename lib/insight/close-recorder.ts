import type { History } from '../../types/close.js'
import type { Shed } from '../../types/events.js'
import type { ResolvedConfig } from '../../types/options.js'
import type { Clock } from '../core/clock.js'
import type { PeerConnection } from '../core/connection.js'
import type { Warnings } from '../core/warnings.js'
import { CloseHistory } from './close-history.js'
import { CloseLog } from './close-log.js'

/** Writes down every close: in the history, and as one line in the log. */
export class CloseRecorder {
  readonly #history: CloseHistory | undefined
  readonly #log: CloseLog | undefined

  constructor(config: Pick<ResolvedConfig, 'history'>, clock: Clock, warnings: Warnings) {
    this.#history = config.history ? new CloseHistory(config.history) : undefined
    this.#log = warnings.logger ? new CloseLog(warnings.logger, clock) : undefined
  }

  noteOpen(connection: PeerConnection): void {
    this.#history?.noteOpen(connection)
  }

  note(connection: PeerConnection): void {
    this.#history?.note(connection, connection.protocol)
    this.#log?.note(connection)
  }

  noteShed(shed: Shed): void {
    this.#log?.noteShed(shed)
  }

  /** The peer has another name than it had when it opened. */
  noteRename(connection: PeerConnection, before: string): void {
    this.#history?.noteRename(connection, before)
  }

  /** Once a tick. */
  turn(): void {
    this.#log?.flush()
  }

  read(): History {
    return this.#history?.read() ?? { closes: [], peers: [] }
  }
}

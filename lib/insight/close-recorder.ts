import type { History } from '../../types/close.js'
import type { Shed } from '../../types/events.js'
import type { ResolvedConfig } from '../../types/options.js'
import type { Snapshot } from '../../types/peerpulse.js'
import type { Clock } from '../core/clock.js'
import type { PeerConnection } from '../core/connection.js'
import { defaults } from '../core/defaults.js'
import type { Feature } from '../core/feature.js'
import type { Reports } from '../core/reports/reports.js'
import { CloseHistory } from './close-history.js'
import { CloseLog } from './close-log.js'
import { Stalls } from './stalls.js'

/** Writes down every close: in the history, and as one line in the log. */
export class CloseRecorder implements Feature {
  readonly name = 'recorder'
  readonly #history: CloseHistory | undefined
  readonly #log: CloseLog | undefined
  readonly stalls: Stalls

  constructor(config: Pick<ResolvedConfig, 'history' | 'limits'>, clock: Clock, reports: Reports) {
    const { ipv6PrefixBits } = config.limits || defaults.limits
    this.#history = config.history ? new CloseHistory(config.history, ipv6PrefixBits) : undefined
    this.#log = reports.logger ? new CloseLog(reports.logger, clock) : undefined
    this.stalls = new Stalls((write) => reports.log(write))
  }

  opened(connection: PeerConnection): void {
    this.#history?.noteOpen(connection)
  }

  closed(connection: PeerConnection): void {
    this.#history?.note(connection, connection.protocol)
    this.#log?.note(connection)
  }

  shed(shed: Shed): void {
    this.#log?.noteShed(shed)
  }

  /** The peer has another name than it had when it opened. */
  renamed(connection: PeerConnection, before: string): void {
    this.#history?.noteRename(connection, before)
  }

  tick(now: number): void {
    this.#log?.flush()
    this.stalls.tick(now)
  }

  /** Nothing may come after: what was held back for a sum is told. */
  sumUp(): void {
    this.#log?.sumUp()
    this.stalls.sumUp()
  }

  snapshot(into: Snapshot): void {
    into.stalls = this.stalls.last
  }

  stop(): void {
    this.sumUp()
  }

  read(): History {
    return this.#history?.read() ?? { closes: [], peers: [] }
  }
}

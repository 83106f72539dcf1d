import type { PeerConnection } from '../core/connection.js'
import type { Backlog } from '../core/connection-extras.js'
import type { Endings } from '../core/endings.js'
import type { Registry } from '../core/registry.js'

/** Evictions for the total budget in one tick. */
const maxEvictionsPerTick = 16

interface BudgetConfig {
  perConnectionBytes: number
  highWaterBytes: number
  lowWaterBytes: number
  stalledMs: number
}

/** What a small box still has room for. */
const leastTotalBytes = 32 * 1024 * 1024
const shareOfMemory = 16

/** The budget of all connections together; `'auto'` is a 16th of the memory limit, and room for one at its cap. */
export function totalBudget(
  config: { totalBytes: number | 'auto'; perConnectionBytes: number },
  limitBytes: number,
): number {
  if (config.totalBytes !== 'auto') return config.totalBytes
  return Math.max(leastTotalBytes, config.perConnectionBytes, Math.floor(limitBytes / shareOfMemory))
}

/** Bounds what connections buffer: marks the congested, evicts the stalled and the heaviest, as `slow-consumer`. */
export class Budget {
  readonly totalBytes: number
  readonly #config: BudgetConfig
  readonly #registry: Registry
  readonly #endings: Endings
  readonly #onChange: (connection: PeerConnection) => void

  constructor(
    config: BudgetConfig,
    totalBytes: number,
    registry: Registry,
    endings: Endings,
    onChange: (connection: PeerConnection) => void,
  ) {
    this.#config = config
    this.totalBytes = totalBytes
    this.#registry = registry
    this.#endings = endings
    this.#onChange = onChange
  }

  /** Looks at what one connection buffers. Called for every connection, every tick on small servers, once a second on large ones. */
  look(connection: PeerConnection, now: number): void {
    const buffered = connection.bufferedBytes
    if (buffered !== connection.bufferedSample) this.#registry.noteBuffered(connection, buffered)
    const backlog = connection.extras?.backlog
    if (backlog !== undefined) this.#lookCongested(connection, backlog, buffered, now)
    else if (buffered > this.#config.highWaterBytes) {
      this.#setBacklog(connection, {
        progressAt: now,
        drained: connection.transport.drainedBytes(connection),
      })
    }
    if (buffered > this.#config.perConnectionBytes) this.#evict(connection)
  }

  #lookCongested(connection: PeerConnection, backlog: Backlog, buffered: number, now: number): void {
    if (buffered <= this.#config.lowWaterBytes) {
      this.#setBacklog(connection, undefined)
      return
    }
    const drained = connection.transport.drainedBytes(connection)
    // A slow link that still takes bytes lives, and so does one between the marks.
    if (drained > backlog.drained || buffered <= this.#config.highWaterBytes) {
      backlog.drained = drained
      backlog.progressAt = now
    } else if (now - backlog.progressAt >= this.#config.stalledMs) this.#evict(connection)
  }

  /** Called once a tick: evicts the heaviest while all together are over the budget. */
  enforceTotal(): void {
    if (this.#registry.bufferedBytes <= this.totalBytes) return
    // Those that are closing hold their memory for `closeTimeoutMs` at most; evicting others for it would be unjust.
    const open = this.#registry
      .all()
      .filter((connection) => connection.bufferedSample > 0 && connection.state !== 'closing')
    let sum = open.reduce((bytes, connection) => bytes + connection.bufferedSample, 0)
    if (sum <= this.totalBytes) return
    open.sort((a, b) => b.bufferedSample - a.bufferedSample)
    for (const connection of open.slice(0, maxEvictionsPerTick)) {
      if (sum <= this.totalBytes) return
      sum -= connection.bufferedSample
      this.#evict(connection)
    }
  }

  #setBacklog(connection: PeerConnection, backlog: Backlog | undefined): void {
    if (connection.state === 'closing') return
    connection.needExtras().backlog = backlog
    this.#onChange(connection)
  }

  /** A WebSocket gets its close frame, though it will hardly read it; a response that is not read has no other end than the socket's. */
  #evict(connection: PeerConnection): void {
    if (connection.state === 'closing' || connection.state === 'closed') return
    if (connection.protocol === 'websocket') this.#endings.close(connection, 'slow-consumer')
    else this.#endings.terminate(connection, 'slow-consumer')
  }
}

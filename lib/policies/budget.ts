import type { CloseEvidence } from '../../types/close.js'
import type { PeerConnection } from '../core/connection.js'
import type { Backlog } from '../core/connection-extras.js'
import type { Endings } from '../core/endings.js'
import type { Feature } from '../core/feature.js'
import type { Registry } from '../core/registry.js'
import { Progress, type ReadQueues } from './progress.js'

/** Evictions for the total budget in one walk over the connections: each tick, and in a loop that writes. */
const maxEvictionsPerWalk = 16
/** Walks in a loop while the total budget fills up once: few enough to cost nothing, and no walk is far behind. */
const walksPerTotal = 64
/** What all hold together, those that are closing included, in total budgets. */
const mostWithClosing = 1.5
/** In a loop, in which nobody's memory is given back: beyond so many, whoever is written to and holds more than `spareShare` is evicted. */
const mostInLoop = 2
/** A part of an equal share of the total budget. */
const spareShare = 1 / 4

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
export class Budget implements Feature {
  readonly name = 'budget'
  readonly totalBytes: number
  readonly #config: BudgetConfig
  readonly #registry: Registry
  readonly #endings: Endings
  readonly #progress: Progress
  readonly #onChange: (connection: PeerConnection) => void
  /** The sum from which on a write has us walk over the connections again. */
  #walkFrom = 0

  constructor(
    config: BudgetConfig,
    totalBytes: number,
    registry: Registry,
    endings: Endings,
    onChange: (connection: PeerConnection) => void,
    readQueues: ReadQueues | undefined,
  ) {
    this.#config = config
    this.totalBytes = totalBytes
    this.#registry = registry
    this.#endings = endings
    this.#onChange = onChange
    this.#progress = new Progress(config.stalledMs, readQueues, (connection) =>
      this.#evict(connection, 'budget.stalledMs'),
    )
  }

  /** Looks at what one connection buffers. Called for every connection, every tick on small servers, once a second on large ones. */
  look(connection: PeerConnection, now: number): void {
    const buffered = this.#bufferedBy(connection)
    if (buffered !== connection.bufferedSample) this.#registry.noteBuffered(connection, buffered)
    const backlog = connection.extras?.backlog
    if (backlog !== undefined) this.#lookCongested(connection, backlog, buffered, now)
    else if (buffered > this.#config.highWaterBytes) {
      this.#setBacklog(connection, {
        progressAt: now,
        drained: connection.transport.drainedBytes(connection),
      })
    }
    if (buffered > this.#config.perConnectionBytes) this.#evict(connection, 'budget.perConnectionBytes')
  }

  /**
   * Looks before something more is written to a connection with a backlog: a producer that writes in one long loop lets
   * no tick run. In such a loop nothing that was evicted gives its memory back, so the sum only grows.
   */
  lookAtWrite(connection: PeerConnection): void {
    this.look(connection, connection.host.clock.now)
    const { bufferedBytes, size } = this.#registry
    if (bufferedBytes <= this.totalBytes) return
    if (bufferedBytes >= this.#walkFrom) this.#walk()
    const spared = (this.totalBytes / size) * spareShare
    if (bufferedBytes > this.totalBytes * mostInLoop && connection.bufferedSample > spared)
      this.#evict(connection, 'budget.totalBytes')
  }

  /** What a WebSocket is sent while it closes is dropped, and yet `ws` counts it: there it can only become less. */
  #bufferedBy(connection: PeerConnection): number {
    const { bufferedBytes } = connection
    return connection.state === 'closing' ? Math.min(bufferedBytes, connection.bufferedSample) : bufferedBytes
  }

  #lookCongested(connection: PeerConnection, backlog: Backlog, buffered: number, now: number): void {
    if (buffered <= this.#config.lowWaterBytes) {
      this.#setBacklog(connection, undefined)
      return
    }
    // A slow link that still takes bytes lives, and so does one between the marks.
    if (buffered <= this.#config.highWaterBytes) this.#progress.credit(connection, backlog, now)
    else this.#progress.look(connection, backlog, now)
  }

  /** Called once a tick: asks for those who seem stalled, and evicts the heaviest while all are over the budget. */
  tick(now: number): void {
    this.#progress.tick(now)
    this.#walkFrom = 0
    if (this.#registry.bufferedBytes > this.totalBytes) this.#walk()
  }

  #walk(): void {
    this.#walkFrom = this.#registry.bufferedBytes + this.totalBytes / walksPerTotal
    // Who was terminated is on its way out; its memory is gone with this turn of the event loop.
    const holders = this.#registry
      .all()
      .filter(({ bufferedSample, endNotes }) => bufferedSample > 0 && endNotes?.terminated !== true)
      .sort((a, b) => b.bufferedSample - a.bufferedSample)
    // Those that are closing hold their memory for `closeTimeoutMs` at most; evicting others for it would be unjust.
    const open = holders.filter(({ state }) => state !== 'closing')
    endHeaviest(open, this.totalBytes, (connection) => this.#evict(connection, 'budget.totalBytes'))
    // That may be half as much again. What is more is taken from them at once.
    const held = holders.filter(({ endNotes }) => endNotes?.terminated !== true)
    const most = this.totalBytes * mostWithClosing - sumOf(held.filter(({ state }) => state !== 'closing'))
    const closing = held.filter(({ state }) => state === 'closing')
    endHeaviest(closing, most, (connection) => void this.#endings.terminate(connection, 'slow-consumer'))
  }

  #setBacklog(connection: PeerConnection, backlog: Backlog | undefined): void {
    if (connection.state === 'closing') return
    connection.needExtras().backlog = backlog
    this.#onChange(connection)
  }

  #evict(connection: PeerConnection, limit: NonNullable<CloseEvidence['limit']>): void {
    if (connection.state === 'closing' || connection.state === 'closed') return
    if (this.#endings.isFirst(connection, 'slow-consumer'))
      this.#endings.evict(connection, limit, this.#figures(connection, limit))
  }

  /** What is at its limit, for the operator. */
  #figures({ bufferedSample, extras, host }: PeerConnection, limit: string): string {
    const { perConnectionBytes, stalledMs } = this.#config
    const stillMs = host.clock.now - (extras?.backlog?.progressAt ?? host.clock.now)
    const still = stillMs > 0 ? `, none was taken for ${stillMs} ms` : ''
    const its = `${bufferedSample} bytes wait for the peer${still}`
    if (limit === 'budget.stalledMs') return `${its}; ${limit} is ${stalledMs}`
    if (limit === 'budget.perConnectionBytes') return `${its}; ${limit} is ${perConnectionBytes}`
    return `${its}; of all connections ${this.#registry.bufferedBytes} bytes wait, ${limit} is ${this.totalBytes}`
  }
}

const sumOf = (connections: readonly PeerConnection[]) =>
  connections.reduce((bytes, { bufferedSample }) => bytes + bufferedSample, 0)

/** Of connections in falling order, a bounded number: until the others buffer no more than `most`. */
function endHeaviest(
  connections: readonly PeerConnection[],
  most: number,
  end: (connection: PeerConnection) => void,
): void {
  let sum = sumOf(connections)
  for (const connection of connections.slice(0, maxEvictionsPerWalk)) {
    if (sum <= most) return
    sum -= connection.bufferedSample
    end(connection)
  }
}

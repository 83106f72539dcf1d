import type { PeerConnection } from '../core/connection.js'
import type { Backlog } from '../core/connection-extras.js'

/** Between two readings of the kernel's tables. */
const readingEveryMs = 500
/** How much later than at its time a peer is judged at most, for a reading that has not come. */
const patienceMs = 1_000

/** What the kernel still holds for each of these, unsent or unacknowledged; `undefined` where it does not say. */
export type ReadQueues = (
  connections: readonly PeerConnection[],
) => Promise<ReadonlyMap<PeerConnection, number | undefined>>

/**
 * Tells a peer that reads slowly from one that has stopped.
 *
 * What the kernel has taken from us is known at every look, but on Linux it takes more only when a third of its own
 * buffer is free: seconds, for a slow reader. How much of that buffer the peer has acknowledged is in a table of the
 * kernel's, which is read off the event loop, for all that seem to stand still, and only while there are any.
 */
export class Progress {
  readonly #stalledMs: number
  readonly #read: ReadQueues | undefined
  readonly #onStalled: (connection: PeerConnection) => void
  /** Those that seem to stand still, the one that was read longest ago first. */
  readonly #suspects = new Set<PeerConnection>()
  #isReading = false
  #nextReading = 0

  constructor(
    stalledMs: number,
    read: ReadQueues | undefined,
    onStalled: (connection: PeerConnection) => void,
  ) {
    this.#stalledMs = stalledMs
    this.#read = read
    this.#onStalled = onStalled
  }

  /** Looks how far a connection above high water has come. */
  look(connection: PeerConnection, backlog: Backlog, now: number): void {
    const drained = connection.transport.drainedBytes(connection)
    const stillMs = now - backlog.progressAt
    if (drained > backlog.drained) this.credit(connection, backlog, now)
    else if (this.#read === undefined || backlog.queue === false) {
      if (stillMs >= this.#stalledMs) this.#onStalled(connection)
    } else if (stillMs >= this.#stalledMs + patienceMs) this.#onStalled(connection)
    else if (stillMs >= this.#stalledMs / 2) this.#suspects.add(connection)
  }

  /** It is known to have gone on. */
  credit(connection: PeerConnection, backlog: Backlog, now: number): void {
    backlog.drained = connection.transport.drainedBytes(connection)
    backlog.progressAt = now
    backlog.queue = undefined
    this.#suspects.delete(connection)
  }

  /** Called once a tick. */
  tick(now: number): void {
    if (this.#suspects.size === 0 || this.#read === undefined) return
    if (this.#isReading || now < this.#nextReading) return
    for (const suspect of this.#suspects) if (backlogOf(suspect) === undefined) this.#suspects.delete(suspect)
    if (this.#suspects.size === 0) return
    const asked = [...this.#suspects]
    this.#isReading = true
    this.#nextReading = now + readingEveryMs
    const judge = (queueOf: (connection: PeerConnection) => number | false | undefined) => {
      this.#isReading = false
      for (const connection of asked) {
        try {
          this.#judge(connection, queueOf(connection))
        } catch (error) {
          connection.host.failed(error)
        }
      }
    }
    this.#read(asked).then(
      (queues) =>
        judge((connection) => queues.get(connection) ?? (queues.has(connection) ? false : undefined)),
      () => judge(() => false),
    )
  }

  /** `queue`: `false` where the kernel does not say, `undefined` where it was not asked yet. */
  #judge(connection: PeerConnection, queue: number | false | undefined): void {
    // It went on while we read.
    if (queue === undefined || !this.#suspects.delete(connection)) return
    const backlog = backlogOf(connection)
    if (backlog === undefined || connection.transport.drainedBytes(connection) > backlog.drained) return
    const { now } = connection.host.clock
    const { queue: before } = backlog
    backlog.queue = queue
    if (typeof before === 'number' && typeof queue === 'number') {
      if (queue < before) {
        backlog.progressAt = now
        return
      }
      // Nothing of ours went in, so it cannot have become more but for a stale reading.
      backlog.queue = before
      if (now - backlog.progressAt >= this.#stalledMs) {
        this.#onStalled(connection)
        return
      }
    }
    if (queue !== false) this.#suspects.add(connection)
  }
}

/** `undefined` for one that is not to be judged any more. */
function backlogOf({ index, state, extras }: PeerConnection): Backlog | undefined {
  return index === -1 || state === 'closing' || state === 'closed' ? undefined : extras?.backlog
}

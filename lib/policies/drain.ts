import type { DrainPhase, DrainReport } from '../../types/drain.js'
import type { DrainStep } from '../../types/events.js'
import type { Clock } from '../core/clock.js'
import type { PeerConnection } from '../core/connection.js'
import type { Refusal } from '../core/refusal.js'
import type { Registry } from '../core/registry.js'

interface DrainConfig {
  readinessDelayMs: number
  spreadMs: number
  deadlineMs: number
}

/** What a drain needs of the servers. */
export interface DrainTargets {
  /** No new connections; those that are open go on. May be called again. */
  stopListening(): void
  onPhase(step: DrainStep): void
  /** Whether what was tracked on closed connections has ended too. */
  isCleanedUp(): boolean
  /** When a client that is refused should come back. */
  retryMs(): number
}

/** After the deadline sockets are destroyed; how long their `'close'` events are waited for. */
const terminatingMs = 400
/** How long a new connection has for its first request before it counts as without one. */
const firstRequestMs = 500

/**
 * One drain over every protocol, moved on by the clock's ticks. Its deadlines are in real time, since the orchestrator
 * that set them does not know of our stalls.
 */
export class Drain {
  report: Promise<DrainReport> | undefined
  phase: DrainPhase | undefined
  readonly #config: DrainConfig
  readonly #clock: Clock
  readonly #registry: Registry
  readonly #targets: DrainTargets
  #why = ''
  #startedAt = 0
  #phaseAt = 0
  #phases: Partial<Record<DrainPhase, number>> = {}
  #counts: DrainReport['connections'] = {}
  /** Long-lived connections that are still to be told, in random order. */
  #toTell: PeerConnection[] = []
  #tellCount = 0
  /** Connections with a higher id came after the closing began. */
  #lastOldId = 0
  #delayMs = 0
  #deadlineMs = 0
  #deadlineExceeded = false
  #resolve: ((report: DrainReport) => void) | undefined
  #startedEpoch = 0

  constructor(config: DrainConfig, clock: Clock, registry: Registry, targets: DrainTargets) {
    this.#config = config
    this.#clock = clock
    this.#registry = registry
    this.#targets = targets
  }

  /** Whether readiness fails. */
  get active(): boolean {
    return this.phase !== undefined
  }

  /** Whether upgrades are refused. */
  get refusesUpgrades(): boolean {
    return this.phase !== undefined && this.phase !== 'delay'
  }

  /** What a new upgrade is answered; none while everything is still served. */
  get refusal(): Refusal | undefined {
    if (!this.refusesUpgrades) return undefined
    const retryAfterS = Math.ceil(this.#targets.retryMs() / 1000)
    return { status: 503, reason: 'drain', detail: 'the server is shutting down', retryAfterS }
  }

  /** Starts, once. `elapsedMs`: how much of the deadline was used before. */
  start(why: string, options: { skipDelay?: boolean; elapsedMs?: number } = {}): Promise<DrainReport> {
    if (this.report !== undefined) {
      if (options.skipDelay === true) this.#delayMs = 0
      return this.report
    }
    this.report = new Promise((resolve) => {
      this.#resolve = resolve
    })
    this.#why = why
    this.#startedAt = this.#clock.realNow()
    this.#startedEpoch = Math.round(performance.timeOrigin + performance.now())
    this.#delayMs = options.skipDelay === true ? 0 : this.#config.readinessDelayMs
    this.#deadlineMs = Math.max(0, this.#config.deadlineMs - (options.elapsedMs ?? 0))
    this.#clock.start()
    this.#clock.hold(true)
    this.#enter('delay')
    for (const connection of this.#registry) this.retire(connection)
    this.tick()
    return this.report
  }

  /** HTTP connections end with their next response: the peer's next request goes to another server, and none is cut off. */
  retire(connection: PeerConnection): void {
    if (connection.protocol === 'http1') connection.retire('drain')
  }

  tick(): void {
    if (this.phase === undefined || this.phase === 'done') return
    const elapsed = this.#clock.realNow() - this.#startedAt
    if (this.phase === 'delay' && elapsed >= this.#delayMs) this.#beginClosing()
    if (this.phase === 'closing') this.#closeSome()
    const isOver = this.#registry.size === 0 && this.#targets.isCleanedUp()
    if (this.phase === 'closing' && isOver) this.#finish()
    else if (this.phase !== 'terminating' && elapsed >= this.#deadlineMs) this.#terminateAll()
    else if (this.phase === 'terminating' && (isOver || elapsed >= this.#deadlineMs + terminatingMs))
      this.#finish()
  }

  /** A connection closed while we drain. */
  count(connection: PeerConnection): void {
    if (this.phase === undefined || this.phase === 'done') return
    const { protocol } = connection
    this.#counts[protocol] ??= { closed: 0, terminated: 0 }
    this.#counts[protocol][connection.endNotes?.terminated ? 'terminated' : 'closed']++
  }

  /** What a drain would do now, for a dry run. */
  rehearse(why: string): DrainReport {
    for (const { protocol } of this.#registry) {
      this.#counts[protocol] ??= { closed: 0, terminated: 0 }
      this.#counts[protocol].closed++
    }
    const connections = this.#counts
    this.#counts = {}
    return {
      why,
      startedAt: Math.round(performance.timeOrigin + performance.now()),
      durationMs: 0,
      phases: {},
      connections,
      deadlineExceeded: false,
      dryRun: true,
    }
  }

  #enter(phase: DrainPhase): void {
    const now = this.#clock.realNow()
    if (this.phase !== undefined) this.#phases[this.phase] = Math.round(now - this.#phaseAt)
    this.phase = phase
    this.#phaseAt = now
    this.#targets.onPhase({ phase, why: this.#why, connections: this.#registry.size })
  }

  #beginClosing(): void {
    this.#enter('closing')
    const connections = this.#registry.all()
    this.#lastOldId = connections.reduce((last, { id }) => Math.max(last, id), 0)
    this.#toTell = shuffle(connections.filter(isLongLived))
    this.#tellCount = this.#toTell.length
  }

  /**
   * Tells as many as the time that has passed allows, then whoever came late and HTTP connections without a request.
   * The server listens until those that were there are gone: a balancer that has not noticed gets its requests served
   * and its upgrades refused, not a connection refused.
   */
  #closeSome(): void {
    const { spreadMs } = this.#config
    const share = spreadMs === 0 ? 1 : Math.min(1, (this.#clock.realNow() - this.#phaseAt) / spreadMs)
    const keep = Math.floor(this.#tellCount * (1 - share))
    while (this.#toTell.length > keep) this.#toTell.pop()?.close('drain')
    const everyoneTold = this.#toTell.length === 0
    let oldOnes = 0
    for (const connection of this.#registry) {
      if (connection.id <= this.#lastOldId) oldOnes++
      if (connection.transport.isBusy(connection) || (everyoneTold && !this.#mayStillAsk(connection)))
        connection.close('drain')
    }
    if (oldOnes === 0) this.#targets.stopListening()
  }

  /** Its upgrade is being decided, or its first request may be on the way. */
  #mayStillAsk({ phase, opened }: PeerConnection): boolean {
    return phase === 'upgrade' || (phase === 'awaiting-request' && this.#clock.now - opened < firstRequestMs)
  }

  #terminateAll(): void {
    this.#deadlineExceeded = true
    this.#targets.stopListening()
    this.#enter('terminating')
    for (const connection of this.#registry) connection.terminate('drain')
  }

  #finish(): void {
    this.#enter('done')
    this.#clock.hold(false)
    this.#toTell = []
    this.#resolve?.({
      why: this.#why,
      startedAt: this.#startedEpoch,
      durationMs: Math.round(this.#clock.realNow() - this.#startedAt),
      phases: this.#phases,
      connections: this.#counts,
      deadlineExceeded: this.#deadlineExceeded,
      dryRun: false,
    })
  }
}

function isLongLived(connection: PeerConnection): boolean {
  const { protocol, phase } = connection
  return protocol !== 'http1' && phase !== 'upgrade'
}

function shuffle<T>(list: T[]): T[] {
  for (let i = list.length - 1; i > 0; i--) {
    const j = Math.floor(Math.random() * (i + 1))
    ;[list[i], list[j]] = [list[j] as T, list[i] as T]
  }
  return list
}

import type { DrainPhase, DrainReport } from '../../types/drain.js'
import type { DrainStep } from '../../types/events.js'
import type { Snapshot } from '../../types/peerpulse.js'
import type { Clock } from '../core/clock.js'
import type { PeerConnection } from '../core/connection.js'
import type { Feature } from '../core/feature.js'
import type { Refusal } from '../core/refusal.js'
import type { Registry } from '../core/registry.js'
import type { Vitals } from '../core/vitals.js'
import { endsInTurn, retire, takeAny } from './drain-order.js'
import { DrainTally, rehearsal } from './drain-tally.js'

interface DrainConfig {
  readinessDelayMs: number
  spreadMs: number
  closeTimeoutMs: number
  deadlineMs: number
}

/** What a drain needs of the servers. */
export interface DrainTargets {
  /** No new connections; those that are open go on. The kernel resets whoever it has not handed over to us yet. May be called again. */
  stopListening(): void
  /** In a cluster's worker, leaves the ports that others go on listening on. `true`: others listen in our place. */
  leaveSharedPorts(): boolean
  onPhase(step: DrainStep): void
  /** Whether what was tracked on closed connections has ended too. */
  isCleanedUp(): boolean
  /** When a client that is refused should come back. */
  retryMs(): number
}

/** After the deadline sockets are destroyed; how long their `'close'` events are waited for. */
const terminatingMs = 400
/** A drain that has not ended so long after that is ended by other means than its ticks, first in slices, then at once. */
const overdueMs = 200
/** How long a new connection has for its first request before it counts as without one. */
const firstRequestMs = 500
/** Connections ended in one turn of the event loop. An end, and the peer's answer to it, takes about 0.1 ms. */
export const maxEndsPerTurn = 64
/** Connections looked at in one turn, which takes next to nothing. */
const maxLooksPerTurn = 2_000

/**
 * One drain over every protocol, moved on by the clock's ticks, and in slices with a poll phase between them. Its
 * deadlines are in real time, since the orchestrator that set them does not know of our stalls.
 */
export class Drain implements Feature {
  readonly name = 'drain'
  report: Promise<DrainReport> | undefined
  phase: DrainPhase | undefined
  readonly #config: DrainConfig
  readonly #clock: Clock
  readonly #registry: Registry
  readonly #vitals: Vitals
  readonly #targets: DrainTargets
  readonly #goOn: () => void
  #why = ''
  #startedAt = 0
  #phaseAt = 0
  #phases: Partial<Record<DrainPhase, number>> = {}
  readonly #tally = new DrainTally()
  /** Connections that are still to be looked at, in the phase that it is. */
  #round: PeerConnection[] = []
  /** Long-lived connections that are still to be told. */
  #toTell: PeerConnection[] = []
  #tellCount = 0
  #everyoneTold = false
  /** Connections that were there when the closing began. */
  #oldOnes = 0
  /** The first connection that came after the closing began. */
  #firstNewId = Number.POSITIVE_INFINITY
  #delayMs = 0
  #deadlineMs = 0
  #deadlineExceeded = false
  /** Others listen in our place. */
  #leftSharedPort = false
  #listening: 'yes' | 'stopping' | 'no' = 'yes'
  #resolve: ((report: DrainReport) => void) | undefined
  #takeBackBound: (() => void) | undefined
  #startedEpoch = 0

  constructor(config: DrainConfig, clock: Clock, registry: Registry, vitals: Vitals, targets: DrainTargets) {
    this.#vitals = vitals
    this.#config = config
    this.#clock = clock
    this.#registry = registry
    this.#targets = targets
    this.#goOn = clock.inSlices(() => this.#slice())
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
  refusal(connection: PeerConnection): Refusal | undefined {
    if (!this.refusesUpgrades || this.#mayComeIn(connection)) return undefined
    const retryAfterS = Math.ceil(this.#targets.retryMs() / 1000)
    return { status: 503, reason: 'drain', detail: 'the server is shutting down', retryAfterS }
  }

  /** Starts, once. `elapsedMs`: how much of the deadline was used before. */
  start(why: string, options: { skipDelay?: boolean; elapsedMs?: number } = {}): Promise<DrainReport> {
    const leftMs = Math.max(0, this.#config.deadlineMs - (options.elapsedMs ?? 0))
    if (this.report !== undefined) {
      if (options.skipDelay === true) this.#delayMs = 0
      this.#bound(Math.min(this.#deadlineMs, this.#clock.realNow() - this.#startedAt + leftMs))
      return this.report
    }
    this.report = new Promise((resolve) => {
      this.#resolve = resolve
    })
    this.#why = why
    this.#startedAt = this.#clock.realNow()
    this.#startedEpoch = Math.round(performance.timeOrigin + performance.now())
    this.#delayMs = options.skipDelay === true ? 0 : this.#config.readinessDelayMs
    this.#clock.start()
    this.#clock.hold(true)
    this.#bound(leftMs)
    this.#enter('delay')
    this.tick()
    return this.report
  }

  /** Ends at the deadline. The bound behind it needs neither our ticks nor what they ask: it holds where those fail. */
  #bound(deadlineMs: number): void {
    if (this.phase === 'done') return
    this.#deadlineMs = deadlineMs
    const endsAt = this.#startedAt + deadlineMs + terminatingMs
    this.#boundIn(endsAt + overdueMs - this.#clock.realNow())
  }

  #boundIn(ms: number): void {
    this.#takeBackBound?.()
    this.#takeBackBound = this.#clock.afterReal(ms, () => this.#giveUp())
  }

  tick(): void {
    // Whoever came late, or has had its last response.
    if (this.phase === 'closing' && this.#everyoneTold && this.#round.length === 0)
      this.#round = this.#registry.all()
    this.#goOn()
  }

  /** A connection opened, perhaps while we drain. */
  opened(connection: PeerConnection): void {
    if (this.active) retire(connection)
    if (this.phase === 'closing') this.#firstNewId = Math.min(this.#firstNewId, connection.id)
  }

  /** A connection closed, perhaps while we drain. */
  closed(connection: PeerConnection): void {
    if (this.phase === undefined || this.phase === 'done') return
    if (connection.id < this.#firstNewId) this.#oldOnes--
    const ms = Math.round(this.#clock.realNow() - this.#startedAt)
    this.#tally.note(connection, ms, this.phase === 'terminating')
  }

  snapshot(into: Snapshot): void {
    into.draining = this.active
  }

  /** What a drain would do now, for a dry run. */
  rehearse(why: string): DrainReport {
    return rehearsal(why, this.#registry)
  }

  #enter(phase: DrainPhase): void {
    const now = this.#clock.realNow()
    if (this.phase !== undefined) this.#phases[this.phase] = Math.round(now - this.#phaseAt)
    this.phase = phase
    this.#vitals.draining = true
    this.#phaseAt = now
    this.#round = phase === 'done' ? [] : this.#registry.all()
    this.#targets.onPhase({ phase, why: this.#why, connections: this.#registry.size })
  }

  /** A bounded part of what is to be done now; `true`: there is more. */
  #slice(): boolean {
    this.#moveOn()
    let ends = maxEndsPerTurn
    for (let looks = maxLooksPerTurn; looks > 0 && ends > 0; looks--) {
      const connection = this.#round.pop()
      if (connection === undefined) break
      if (this.#look(connection)) ends--
    }
    if (this.#round.length > 0) return true
    if (this.phase !== 'closing' || this.#everyoneTold) return false
    for (const keep = this.#tellLater(); ends > 0 && this.#toTell.length > keep; ends--)
      this.#look(takeAny(this.#toTell), true)
    if (this.#toTell.length > 0) return ends === 0
    this.#everyoneTold = true
    this.#round = this.#registry.all()
    return true
  }

  /**
   * Enters the phase that it is time for. The server listens until those that were there are gone: a balancer that has
   * not noticed gets its requests served and its upgrades refused, not a connection refused.
   */
  #moveOn(): void {
    if (this.phase === undefined || this.phase === 'done') return
    const elapsed = this.#clock.realNow() - this.#startedAt
    if (this.phase === 'delay' && elapsed >= this.#delayMs) {
      this.#enter('closing')
      this.#leftSharedPort = this.#targets.leaveSharedPorts()
      this.#oldOnes = this.#registry.size
    }
    if (this.phase === 'closing' && this.#oldOnes === 0) this.#stopListening()
    const isOver = this.#listening === 'no' && this.#registry.size === 0 && this.#targets.isCleanedUp()
    const isLate = this.#round.length === 0 && elapsed >= this.#deadlineMs + terminatingMs
    if (this.phase === 'closing' && isOver) this.#finish()
    else if (this.phase !== 'terminating' && elapsed >= this.#deadlineMs) this.#beginTerminating()
    else if (this.phase === 'terminating' && (isOver || isLate)) this.#finish()
  }

  /** Does what the phase asks for; `true`: it took an end. */
  #look(connection: PeerConnection, isItsTurn = false): boolean {
    try {
      if (connection.index === -1) return false
      if (this.phase === 'terminating') this.#cutOff(connection)
      else if (connection.state === 'closing') return false
      else if (this.phase === 'closing' && this.#mayFinish(connection)) return false
      else if (this.phase === 'closing' && (isItsTurn || this.#mustGo(connection))) connection.close('drain')
      else {
        retire(connection)
        if (this.phase === 'closing' && !this.#everyoneTold && endsInTurn(connection))
          this.#tellCount = this.#toTell.push(connection)
        return false
      }
    } catch (error) {
      connection.host.failed(error)
    }
    return true
  }

  #cutOff(connection: PeerConnection): void {
    try {
      this.#tally.name(connection)
    } finally {
      connection.terminate('drain')
    }
  }

  /** A request in flight is told at once that it is the last; whoever came late or is idle, when everyone has been told. */
  #mustGo(connection: PeerConnection): boolean {
    const isToFinish = connection.transport.isBusy(connection) && connection.onDrain === 'finish'
    return isToFinish || (this.#everyoneTold && !this.#mayStillAsk(connection))
  }

  /** A stream that ends by itself is left alone until only the time for an end in order is left. */
  #mayFinish(connection: PeerConnection): boolean {
    if (connection.protocol === 'http1' || connection.onDrain === 'end') return false
    const { deadlineMs, closeTimeoutMs } = this.#config
    const graceMs = Math.min(closeTimeoutMs, deadlineMs / 2)
    return this.#clock.realNow() - this.#startedAt < this.#deadlineMs - graceMs
  }

  /** Its upgrade is being decided, or its first request may be on the way, behind a TLS handshake perhaps. */
  #mayStillAsk({ phase, opened }: PeerConnection): boolean {
    if (phase === 'upgrade') return true
    const isNew = phase === 'awaiting-request' || phase === 'tls-handshake'
    return isNew && this.#clock.now - opened < firstRequestMs
  }

  /**
   * Whoever this worker had accepted before it left the rotation was sent to no other, and no browser can read a 503: it
   * is let in, and told to leave when everyone has been told. One that comes later than that is refused.
   */
  #mayComeIn({ opened }: PeerConnection): boolean {
    if (!this.#leftSharedPort || this.phase !== 'closing') return false
    return !this.#everyoneTold || this.#clock.now - opened < firstRequestMs
  }

  /** How many need not have been told by now. */
  #tellLater(): number {
    const { spreadMs } = this.#config
    const share = spreadMs === 0 ? 1 : Math.min(1, (this.#clock.realNow() - this.#phaseAt) / spreadMs)
    return Math.floor(this.#tellCount * (1 - share))
  }

  /** In a turn in which nobody waits to be accepted: a balancer takes a reset for a failure of the request that it has sent. */
  #stopListening(): void {
    if (this.#listening !== 'yes') return
    this.#listening = 'stopping'
    this.#clock.inQuietTurn(() => {
      this.#listening = 'no'
      this.#targets.stopListening()
      this.#goOn()
    })
  }

  #beginTerminating(): void {
    this.#deadlineExceeded = true
    this.#listening = 'no'
    this.#targets.stopListening()
    this.#enter('terminating')
  }

  /** It should have ended by now. A stall may be why, and then the ticks that it held up go on; else nobody waits for more. */
  #giveUp(): void {
    if (this.phase !== 'terminating') {
      this.#boundIn(overdueMs)
      this.#beginTerminating()
      return
    }
    try {
      for (const connection of this.#registry) this.#look(connection)
    } finally {
      this.#finish()
    }
  }

  #finish(): void {
    this.#takeBackBound?.()
    this.#toTell = []
    try {
      this.#enter('done')
    } finally {
      this.#clock.hold(false)
      this.#resolve?.(this.#describe())
    }
  }

  #describe(): DrainReport {
    return {
      why: this.#why,
      startedAt: this.#startedEpoch,
      durationMs: Math.round(this.#clock.realNow() - this.#startedAt),
      phases: this.#phases,
      connections: this.#tally.counts,
      ends: this.#tally.ends,
      cut: this.#tally.cut,
      deadlineExceeded: this.#deadlineExceeded,
      dryRun: false,
    }
  }
}

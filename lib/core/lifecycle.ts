import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { CloseEvidence } from '../../types/close.js'
import type { Protocol } from '../../types/connection.js'
import type { Shed } from '../../types/events.js'
import type { ResolvedConfig } from '../../types/options.js'
import type { Snapshot } from '../../types/peerpulse.js'
import { AbortGuard } from './abort-guard.js'
import { Clock, systemTime, tickMs } from './clock.js'
import { PeerConnection, type PeerTransport } from './connection.js'
import type { ConnectionHost } from './connection-host.js'
import type { Feature } from './feature.js'
import type { Policy } from './policy.js'
import type { Refusal } from './refusal.js'
import { Registry } from './registry.js'
import type { Reports } from './reports/reports.js'
import type { ConnectionSink } from './sink.js'
import { Tracking } from './tracking.js'
import { Wheel } from './wheel.js'

/** With fewer connections than 10,000, so many are looked at in a tick: their fields are seldom in the processor's caches. */
const looksPerTick = 1_000
/** Every connection is looked at once in so many ticks, however many there are. */
const ticksPerLap = 10
/** So long a lap takes at most, in credited milliseconds; and one tick. */
export const lapMs = (ticksPerLap + 1) * tickMs
/** When a connection is visited again after its visit threw. */
const afterErrorMs = 1_000

/** Decides at the door. */
export interface Door {
  /** Whether a socket is to be destroyed at accept. */
  turnsAway(socket: Socket): boolean
  judge(connection: PeerConnection): void
  request(connection: PeerConnection, req: IncomingMessage, res: ServerResponse): boolean
  upgrade(connection: PeerConnection, req: IncomingMessage): Refusal | undefined
}

/** What the life of connections needs, beside its features. */
export interface LifecycleParts {
  readonly reports: Reports
  readonly closeTimeoutMs: number
  readonly ipv6PrefixBits: number
  readonly reconnect: ConnectionHost<PeerConnection>['reconnect']
  readonly idle: ResolvedConfig['idle']
  readonly firstTransport: PeerTransport
  watch(socket: Socket, connection: PeerConnection): void
  door(): Door
  policies(): readonly Policy[]
  evidence(connection: PeerConnection): CloseEvidence
  unknownWebSocket(): void
}

const hookNames = ['opened', 'renamed', 'look', 'closed', 'shed', 'tick', 'snapshot'] as const
type HookName = (typeof hookNames)[number]
type Hook = (subject: unknown, detail: unknown) => void

let lastId = 0

/** The life of connections, from accept to close, and the features that take part in it. */
export class Lifecycle implements ConnectionSink, ConnectionHost<PeerConnection> {
  readonly key = Symbol('peerpulse')
  readonly clock = new Clock(
    () => this.#turn(),
    systemTime,
    (error) => this.failed(error),
  )
  readonly wheel = new Wheel((error) => this.failed(error))
  readonly registry: Registry
  readonly heartbeats = { pings: 0, pongs: 0 }
  readonly tracking: Tracking
  readonly aborts: AbortGuard
  readonly closeTimeoutMs: number
  readonly reconnect: ConnectionHost<PeerConnection>['reconnect']
  readonly #parts: LifecycleParts
  readonly #hooks: Record<HookName, Hook[]> = {
    opened: [],
    renamed: [],
    look: [],
    closed: [],
    shed: [],
    tick: [],
    snapshot: [],
  }
  readonly #stops: (() => unknown)[] = []
  /** A thousand pings in one go would stop the loop. */
  readonly #serveDue = this.clock.inSlices(() => this.wheel.turn(this.clock.now))

  constructor(parts: LifecycleParts) {
    this.#parts = parts
    this.registry = new Registry(parts.ipv6PrefixBits)
    this.closeTimeoutMs = parts.closeTimeoutMs
    this.reconnect = parts.reconnect
    this.aborts = new AbortGuard((error) =>
      parts.reports.callbackFailed("abort listener of a connection's signal", error),
    )
    this.tracking = new Tracking(this.clock, this.wheel, parts.reports)
  }

  /** Features are called in the order in which they came, and stop in the contrary one. */
  use(feature: Feature): void {
    for (const name of hookNames) {
      const hook = feature[name] as Hook | undefined
      if (hook !== undefined) this.#hooks[name].push(hook.bind(feature))
    }
    if (feature.stop !== undefined) this.#stops.unshift(feature.stop.bind(feature))
  }

  accept(socket: Socket, secure: boolean): PeerConnection | undefined {
    if (this.#parts.door().turnsAway(socket)) {
      socket.destroy()
      return undefined
    }
    const connection = this.#register(socket)
    if (connection.exchange !== undefined) connection.exchange.handshaking = secure
    this.#parts.door().judge(connection)
    return connection
  }

  adopt(socket: Socket): PeerConnection {
    const connection = this.#register(socket)
    this.#parts.watch(socket, connection)
    return connection
  }

  request(connection: PeerConnection, req: IncomingMessage, res: ServerResponse): boolean {
    return this.#parts.door().request(connection, req, res)
  }

  upgrade(connection: PeerConnection, req: IncomingMessage): Refusal | undefined {
    return this.#parts.door().upgrade(connection, req)
  }

  failed(error: unknown): void {
    this.#parts.reports.failed(error)
  }

  unknownWebSocket(): void {
    this.#parts.unknownWebSocket()
  }

  closed(connection: PeerConnection): void {
    if (connection.state === 'closed') return
    const evidence = this.#lastWords(connection)
    this.wheel.cancel(connection)
    this.registry.remove(connection)
    this.registry.countClosed(connection.closeReason ?? 'server-error')
    try {
      connection.finish(evidence)
    } catch (error) {
      this.failed(error)
    }
    this.#tell('closed', connection)
  }

  idleTimeoutOf(protocol: Protocol): number | false {
    const { idle } = this.#parts
    if (!idle || protocol === 'http1') return false
    return protocol === 'websocket' ? idle.websocketMs : protocol === 'sse' ? idle.sseMs : idle.upgradedMs
  }

  visit(connection: PeerConnection): void {
    const { now } = this.clock
    let next = Number.POSITIVE_INFINITY
    try {
      for (const policy of this.#parts.policies()) next = Math.min(next, policy.visit(connection, now))
    } catch (error) {
      // Policies run code of the app's, a patched socket's for one. It must not end the watch over this connection.
      this.failed(error)
      next = now + afterErrorMs
    }
    // A connection that began to close meanwhile has put itself on the wheel, for its close timeout.
    if (connection.index !== -1 && connection.state !== 'closing') this.wheel.schedule(connection, next)
  }

  /** A trusted proxy named the peer. */
  rename(connection: PeerConnection, address: string): void {
    const before = connection.remoteAddress
    this.registry.rename(connection, address)
    this.#tell('renamed', connection, before)
  }

  /** Something was refused. */
  shed(shed: Shed): void {
    this.#tell('shed', shed)
  }

  snapshot(into: Snapshot): void {
    const { registry, clock } = this
    for (const { protocol, congested } of registry) {
      into.connections.byProtocol[protocol] = (into.connections.byProtocol[protocol] ?? 0) + 1
      if (congested) into.connections.congested++
    }
    into.connections.open = registry.size
    into.connections.peers = registry.peerCount
    into.connections.bufferedBytes = registry.bufferedBytes
    into.totals.opened = registry.opened
    into.totals.closed = Object.fromEntries(registry.closed)
    into.totals.skipped = registry.skipped
    into.totals.pings = this.heartbeats.pings
    into.totals.pongs = this.heartbeats.pongs
    into.totals.leaks = Object.fromEntries(this.tracking.leaks)
    into.pressure.sinceMs = clock.now
    into.loop.stalls = clock.stallCount
    into.loop.stalledMs = Math.round(clock.stalledMs)
    into.loop.longestMs = Math.round(clock.longestStallMs)
    this.#tell('snapshot', into)
  }

  /** Stops watching, the features first. Open connections live on without us. */
  async stop(): Promise<void> {
    this.clock.stop()
    const stopping = this.#stops.map(async (stop) => stop())
    for (const connection of this.registry) {
      this.wheel.cancel(connection)
      this.registry.remove(connection)
    }
    for (const stopped of await Promise.allSettled(stopping))
      if (stopped.status === 'rejected') this.failed(stopped.reason)
  }

  #register(socket: Socket): PeerConnection {
    const connection = new PeerConnection(++lastId, this, this.#parts.firstTransport, socket)
    this.registry.add(connection)
    connection.reschedule()
    this.#tell('opened', connection)
    return connection
  }

  /** Sockets and responses are read for it, and may be patched by the app. Whatever they do, the connection is gone. */
  #lastWords(connection: PeerConnection): CloseEvidence {
    try {
      connection.settle(connection.closeReason ?? connection.transport.reasonOf(connection))
      return this.#parts.evidence(connection)
    } catch (error) {
      this.failed(error)
      const notes = connection.noteEnd()
      notes.closeReason ??= 'server-error'
      notes.phase ??= 'established'
      const unknown = {
        silentMs: 0,
        idleMs: 0,
        bytesRead: 0,
        bytesWritten: 0,
        bufferedBytes: 0,
        stalledMs: 0,
      }
      return { phase: notes.phase, ageMs: this.clock.now - connection.opened, level: 'normal', ...unknown }
    }
  }

  /** One that throws stops no other: the drain above all. */
  #tell(name: HookName, subject: unknown, detail?: unknown): void {
    for (const hook of this.#hooks[name]) {
      try {
        hook(subject, detail)
      } catch (error) {
        this.failed(error)
      }
    }
  }

  #turn(): void {
    this.#serveDue()
    this.registry.look(Math.max(looksPerTick, Math.ceil(this.registry.size / ticksPerLap)), this.#look)
    this.#tell('tick', this.clock.now)
  }

  readonly #look = (connection: PeerConnection): void => {
    try {
      connection.endIfDrained()
      // Once it is closing, the bytes are those of its end.
      if (connection.state !== 'closing') connection.sample()
    } catch (error) {
      this.failed(error)
    }
    const { now } = this.clock
    for (const look of this.#hooks.look) {
      // The first of them may have found it gone.
      if (connection.index === -1) return
      try {
        look(connection, now)
      } catch (error) {
        this.failed(error)
      }
    }
  }
}

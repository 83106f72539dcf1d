import type { Server as HttpServer, IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { History } from '../types/close.js'
import type { Connection, Protocol } from '../types/connection.js'
import type { DrainReport } from '../types/drain.js'
import type { PeerpulseEvents } from '../types/events.js'
import type { Check, CheckOptions } from '../types/health.js'
import type { PeerpulseOptions, ResolvedConfig, ResolvedDrain } from '../types/options.js'
import type {
  AttachTarget,
  BroadcastOptions,
  BroadcastResult,
  Middleware,
  Peerpulse,
  Snapshot,
  WebSocketServerLike,
} from '../types/peerpulse.js'
import { createMiddleware } from './adapters/middleware.js'
import { shutDownOnSignals } from './adapters/shutdown.js'
import { clientAddress, compileTrust, type Trust } from './adapters/trust-proxy.js'
import { Clock } from './core/clock.js'
import { resolveConfig } from './core/config.js'
import { type ConnectionHost, PeerConnection } from './core/connection.js'
import { defaults, keepAliveBeyondBalancerMs } from './core/defaults.js'
import { Endings } from './core/endings.js'
import { PeerpulseError } from './core/errors.js'
import { type EventName, Events } from './core/events.js'
import type { Policy } from './core/policy.js'
import type { Refusal } from './core/refusal.js'
import { Registry } from './core/registry.js'
import { type ConnectionSink, carried } from './core/sink.js'
import { Tracking } from './core/tracking.js'
import { Warnings } from './core/warnings.js'
import { Wheel } from './core/wheel.js'
import { Checks } from './health/checks.js'
import { closeProbeServer, openProbeServer } from './health/probe-server.js'
import { ownChecks, Probes } from './health/probes.js'
import { CloseRecorder } from './insight/close-recorder.js'
import { gatherEvidence } from './insight/evidence.js'
import { takeSnapshot } from './insight/snapshot.js'
import { memoryLimit } from './monitors/memory-limit.js'
import { createMonitors } from './monitors/standard-monitors.js'
import { Budget, totalBudget } from './policies/budget.js'
import { Drain } from './policies/drain.js'
import { createHeartbeat } from './policies/heartbeat.js'
import { createIdle } from './policies/idle.js'
import { createLifetime } from './policies/lifetime.js'
import { ConnectionLimits, createHandshakeDeadline } from './policies/limits.js'
import { Pressure } from './policies/pressure.js'
import { Reception } from './policies/reception.js'
import { ReconnectWindow } from './policies/reconnect-window.js'
import { Shedding } from './policies/shedding.js'
import { broadcast } from './transports/broadcast.js'
import { http1 } from './transports/http1.js'
import { refuseRequest } from './transports/refusal.js'
import { Targets } from './transports/targets.js'
import { closeFrameFrom, socketBelow } from './transports/ws-internals.js'

/** Connections looked at in one tick: on a server with more, each is looked at every second or third tick. */
const maxLooksPerTick = 2_000
/** How often traffic is sampled; reading a socket's byte counts is not free. */
const sampleMs = 1_000
/** Monitors are read every so many ticks. */
const ticksPerReading = 5

let lastId = 0

/** Wires the rooms together. The servers' seams and the connections see it by its narrow faces, the app by `Peerpulse`. */
class Pulse implements Peerpulse, ConnectionSink, ConnectionHost {
  readonly config: ResolvedConfig
  readonly key = Symbol('peerpulse')
  readonly clock = new Clock(() => this.#turn())
  readonly wheel = new Wheel()
  readonly closeTimeoutMs: number
  readonly heartbeats = { pings: 0, pongs: 0 }
  readonly tracking: Tracking

  readonly #registry = new Registry()
  readonly #events: Events
  readonly #warnings: Warnings
  readonly #endings: Endings
  readonly #targets: Targets
  readonly #policies: readonly Policy[]
  readonly #budget: Budget | undefined
  readonly #pressure: Pressure | undefined
  readonly #drain: Drain
  readonly #reception: Reception
  readonly #reconnect: ReconnectWindow
  readonly #checks: Checks
  readonly #probes: Probes | undefined
  readonly #closes: CloseRecorder
  readonly #startedEpoch = Date.now()
  #trust: Trust | undefined
  #leaveShutdown: (() => void) | undefined
  #probeServer: HttpServer | undefined
  #servesUnattached = false
  #detached = false
  #ticks = 0

  constructor(options: PeerpulseOptions | undefined) {
    this.config = resolveConfig(options, (trust) => void compileTrust(trust))
    const { config } = this
    const drainConfig = config.drain || (defaults.drain as unknown as ResolvedDrain)
    this.closeTimeoutMs = drainConfig.closeTimeoutMs
    this.#trust = config.limits ? compileTrust(config.limits.trustProxy) : undefined
    this.#warnings = new Warnings(
      () => this.#events,
      config.log,
      () => this.clock.now,
    )
    const warnings = this.#warnings
    this.#events = new Events((event, error) => warnings.callbackFailed(`${event} listener`, error))
    this.tracking = new Tracking(this.clock, this.wheel, warnings)
    this.#endings = new Endings(config.dryRun, (message) => warnings.warn('PEERPULSE_WARN_DRY_RUN', message))
    this.#reconnect = new ReconnectWindow(drainConfig)
    this.#targets = new Targets(this, this.#serverKnobs())
    this.#budget = this.#createBudget()
    this.#pressure = this.#createPressure()
    this.#drain = this.#createDrain(drainConfig)
    this.#checks = this.#createChecks()
    this.#probes = this.#createProbes()
    this.#reception = this.#createReception()
    this.#closes = new CloseRecorder(config, this.clock, warnings)
    this.#policies = this.#createPolicies()
  }

  // The public methods ---------------------------------------------------------------------------

  attach<T extends AttachTarget>(target: T, ...more: AttachTarget[]): T {
    this.#checkUsable('attach')
    this.clock.start()
    this.#targets.attach([target, ...more])
    this.#joinShutdown()
    this.#openProbeServer()
    return target
  }

  middleware(): Middleware {
    this.#checkUsable('middleware')
    return createMiddleware({
      wasSeen: (req) => this.#detached || carried(this, req.socket) !== undefined,
      answer: (req, res) => this.#answerUnattached(req, res),
      wantsTrust: () => this.#trust === undefined && !this.#detached,
      learnTrust: (trust, req) => {
        this.#trust = trust
        const connection = carried(this, req.socket)
        if (connection !== undefined) this.#namePeer(connection, req)
      },
    })
  }

  drain(why = 'drain()'): Promise<DrainReport> {
    this.#checkUsable('drain')
    if (!this.#endings.dryRun) return this.#drain.start(String(why))
    const count = this.#registry.size
    this.#warnings.warn(
      'PEERPULSE_WARN_DRY_RUN',
      `dry run: a drain (${why}) would have closed ${count} connections`,
    )
    return Promise.resolve(this.#drain.rehearse(String(why)))
  }

  async detach(): Promise<void> {
    if (this.#detached) return
    // A drain that runs is let finish: its closes need the clock.
    if (this.#drain.active) await this.#drain.report
    this.#detached = true
    this.#leaveShutdown?.()
    this.#targets.restore()
    this.#pressure?.stop()
    this.clock.stop()
    for (const connection of this.#registry) {
      this.wheel.cancel(connection)
      this.#targets.listeners.release(connection)
      this.#setTcpKeepAlive(connection.socket, false)
      this.#registry.remove(connection)
    }
    if (this.#probeServer !== undefined) await closeProbeServer(this.#probeServer)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.detach()
  }

  connections(): Iterable<Connection> {
    return this.#registry.all()
  }

  connectionOf(carrier: object): Connection | undefined {
    if (typeof carrier !== 'object' || carrier === null) return undefined
    const below = (carrier as { socket?: object | null }).socket ?? socketBelow(carrier)
    return (
      carried(this, carrier) ??
      (typeof below === 'object' && below !== null ? carried(this, below) : undefined)
    )
  }

  addCheck(name: string, check: Check, options: CheckOptions = {}): Disposable {
    return this.#checks.add(name, check, options, ownChecks)
  }

  broadcast(
    wss: WebSocketServerLike,
    data: string | Buffer | ArrayBuffer | ArrayBufferView,
    options: BroadcastOptions = {},
  ): BroadcastResult {
    const { budget, dryRun } = this.config
    const { highWaterBytes } = budget || defaults.budget
    return broadcast(wss, data, options, {
      dryRun,
      highWaterBytes,
      connectionOf: (webSocket) => carried(this, webSocket),
    })
  }

  snapshot(): Snapshot {
    return takeSnapshot({
      clock: this.clock,
      registry: this.#registry,
      endings: this.#endings,
      tracking: this.tracking,
      heartbeats: this.heartbeats,
      shed: this.#reception.shed,
      startedEpoch: this.#startedEpoch,
      attached: this.#targets.size,
      draining: this.#drain.active,
      callbackErrors: this.#warnings.callbackErrors,
      pressure: this.#pressure ?? { level: 'normal', since: 0, monitors: [], readings: {} },
    })
  }

  history(): History {
    return this.#closes.read()
  }

  on<E extends EventName>(event: E, listener: (payload: PeerpulseEvents[E]) => unknown): this {
    this.#events.on(event, listener as never)
    return this
  }
  once<E extends EventName>(event: E, listener: (payload: PeerpulseEvents[E]) => unknown): this {
    this.#events.once(event, listener as never)
    return this
  }
  off<E extends EventName>(event: E, listener: (payload: PeerpulseEvents[E]) => unknown): this {
    this.#events.off(event, listener as never)
    return this
  }

  // ConnectionSink: what the seams hand in -------------------------------------------------------

  accept(socket: Socket, secure: boolean): PeerConnection | undefined {
    if (this.#reception.turnsAway(socket)) {
      socket.destroy()
      return undefined
    }
    const connection = this.#register(socket)
    connection.handshaking = secure
    this.#reception.judge(connection)
    return connection
  }

  adopt(socket: Socket): PeerConnection {
    const connection = this.#register(socket)
    this.#targets.listeners.watch(socket, connection)
    return connection
  }

  request(connection: PeerConnection, req: IncomingMessage, res: ServerResponse): boolean {
    return this.#reception.request(connection, req, res)
  }

  upgrade(connection: PeerConnection, req: IncomingMessage): Refusal | undefined {
    return this.#reception.upgrade(connection, req)
  }

  closed(connection: PeerConnection): void {
    if (connection.state === 'closed') return
    const { webSocket } = connection
    const reason = connection.closeReason ?? connection.transport.reasonOf(connection)
    const frame = typeof webSocket === 'object' && webSocket !== null ? closeFrameFrom(webSocket) : undefined
    const evidence = gatherEvidence(connection, this.#pressure?.level ?? 'normal', frame)
    connection.settle(reason)
    this.#drain.count(connection)
    this.#budget?.forget(connection)
    this.wheel.cancel(connection)
    this.#registry.remove(connection)
    this.#registry.countClosed(reason)
    connection.finish(evidence)
    this.#closes.note(connection)
    this.#emit('connection:close', connection)
  }

  // ConnectionHost: what connections ask ---------------------------------------------------------

  idleTimeoutOf(protocol: Protocol): number | false {
    const { idle } = this.config
    if (!idle || protocol === 'http1') return false
    return protocol === 'websocket' ? idle.websocketMs : protocol === 'sse' ? idle.sseMs : idle.upgradedMs
  }

  get reconnect(): ReconnectWindow {
    return this.#reconnect
  }

  visit(connection: PeerConnection): void {
    const { now } = this.clock
    let next = Number.POSITIVE_INFINITY
    for (const policy of this.#policies) next = Math.min(next, policy.visit(connection, now))
    // A connection that began to close meanwhile has put itself on the wheel, for its close timeout.
    if (connection.index !== -1 && connection.state !== 'closing') this.wheel.schedule(connection, next)
  }

  // ----------------------------------------------------------------------------------------------

  #turn(): void {
    const { now } = this.clock
    this.wheel.turn(now)
    this.#registry.pass(maxLooksPerTick, (connection) => {
      connection.endIfDrained()
      if (now - connection.sampledAt >= sampleMs) connection.sample()
      this.#budget?.look(connection, now)
    })
    this.#budget?.enforceTotal()
    if (this.#ticks++ % ticksPerReading === 0) this.#pressure?.update(now)
    this.#drain.tick()
    this.#closes.turn()
  }

  #emit<E extends EventName>(event: E, payload: PeerpulseEvents[E]): void {
    if (this.#events.wants(event)) this.#events.emit(event, payload)
  }

  #register(socket: Socket): PeerConnection {
    const connection = new PeerConnection(++lastId, this, http1, socket)
    this.#registry.add(connection)
    this.#setTcpKeepAlive(socket, true)
    connection.reschedule()
    if (this.#drain.active) this.#drain.retire(connection)
    this.#emit('connection:open', connection)
    return connection
  }

  #setTcpKeepAlive(socket: Socket, on: boolean): void {
    const delayMs = this.config.heartbeat ? this.config.heartbeat.tcpKeepAliveMs : false
    const isTheApps = (socket as { server?: { keepAlive?: boolean } }).server?.keepAlive === true
    if (delayMs === false || isTheApps || socket.destroyed) return
    if (on) socket.setKeepAlive(true, delayMs)
    else socket.setKeepAlive(false)
  }

  #namePeer(connection: PeerConnection, req: IncomingMessage): boolean {
    const address = this.#trust === undefined ? undefined : clientAddress(req, this.#trust)
    if (address === undefined || address === connection.remoteAddress) return false
    this.#registry.rename(connection, address)
    return true
  }

  #answerProbe(req: IncomingMessage, res: ServerResponse): boolean {
    return this.#probes !== undefined && this.#probeServer === undefined && this.#probes.handle(req, res)
  }

  #answerUnattached(req: IncomingMessage, res: ServerResponse): boolean {
    if (!this.#servesUnattached) {
      this.#servesUnattached = true
      this.clock.start()
      this.#warnings.warn(
        'PEERPULSE_WARN_NOT_ATTACHED',
        'peerpulse: the middleware serves a server that is not attached: probes and shedding work; heartbeats, idle ' +
          'timeouts, budget, limits, close reasons and drain are off. Call pulse.attach(server)',
      )
    }
    return this.#reception.strayRequest(req, res)
  }

  #serverKnobs(): { keepAliveTimeout?: number; headersTimeout?: number } {
    const { behind, limits, dryRun } = this.config
    if (dryRun) return {}
    return {
      ...(behind && { keepAliveTimeout: behind.idleTimeoutMs + keepAliveBeyondBalancerMs }),
      ...(limits && limits.handshakeTimeoutMs !== false && { headersTimeout: limits.handshakeTimeoutMs }),
    }
  }

  #createPolicies(): Policy[] {
    const { limits, heartbeat, idle, lifetime } = this.config
    const endings = this.#endings
    // Idle also without the section: a connection may be given an idle timeout of its own.
    const policies = [createIdle(idle || defaults.idle, endings)]
    if (limits && limits.handshakeTimeoutMs !== false) {
      policies.push(createHandshakeDeadline(limits.handshakeTimeoutMs, endings))
    }
    if (heartbeat) policies.push(createHeartbeat(heartbeat, this.#registry, endings))
    if (lifetime) policies.push(createLifetime(lifetime, endings))
    return policies
  }

  #createBudget(): Budget | undefined {
    const { budget, pressure } = this.config
    if (!budget) return undefined
    const limit = memoryLimit(pressure && pressure.memory ? pressure.memory.limitBytes : 'auto')
    return new Budget(budget, totalBudget(budget, limit.bytes), this.#registry, this.#endings, (connection) =>
      this.#emit(connection.congested ? 'connection:congested' : 'connection:drain', connection),
    )
  }

  #createPressure(): Pressure | undefined {
    const { pressure, limits } = this.config
    if (!pressure) return undefined
    const caps = { totalBytes: this.#budget?.totalBytes, maxConnections: limits && limits.maxConnections }
    return new Pressure(
      pressure,
      createMonitors(pressure, this.clock, this.#registry, caps),
      (change) => {
        const { level, previous, monitor } = change
        const message = `pressure is ${level} (was ${previous}): ${monitor} at ${Math.round(change.pressure * 100)} %`
        this.#warnings.log((logger) => logger.warn({ event: 'pressure:level', ...change }, message))
        this.#emit('pressure:level', change)
      },
      (monitor, error) => this.#warnings.callbackFailed(`monitor '${monitor}'`, error),
    )
  }

  #createDrain(config: ResolvedDrain): Drain {
    return new Drain(config, this.clock, this.#registry, {
      stopListening: () => this.#targets.stopListening(),
      retryMs: () => this.#reconnect.pickMs(),
      onPhase: (step) => {
        const message = `drain (${step.why}): ${step.phase}, ${step.connections} connections`
        this.#warnings.log((logger) => logger.info({ event: 'drain:phase', ...step }, message))
        this.#emit('drain:phase', step)
      },
    })
  }

  #createChecks(): Checks {
    const { checkTimeoutMs, cacheMs } = this.config.probes || defaults.probes
    const onChange = (change: PeerpulseEvents['check:change']) => this.#emit('check:change', change)
    return new Checks({ clock: this.clock, wheel: this.wheel, timeoutMs: checkTimeoutMs, cacheMs, onChange })
  }

  #createProbes(): Probes | undefined {
    if (!this.config.probes) return undefined
    return new Probes(this.config.probes, this.#checks, {
      draining: () => this.#drain.active,
      // A request that came through the middleware shows that somebody listens.
      listening: () => this.#targets.listening || (this.#servesUnattached && this.#targets.size === 0),
      level: () => this.#pressure?.level ?? 'normal',
      onDetailsError: (error) => this.#warnings.callbackFailed('probes.details', error),
    })
  }

  #createReception(): Reception {
    const { limits, pressure } = this.config
    const shedding =
      this.#pressure !== undefined && pressure
        ? new Shedding(this.#pressure, pressure, (error) =>
            this.#warnings.callbackFailed('pressure.priority', error),
          )
        : undefined
    const desk = {
      answerProbe: (req: IncomingMessage, res: ServerResponse) => this.#answerProbe(req, res),
      answerRefusal: refuseRequest,
      namePeer: (connection: PeerConnection, req: IncomingMessage) => this.#namePeer(connection, req),
      peersAreKnown: () => this.#trust === undefined,
      onShed: (shed: PeerpulseEvents['shed']) => this.#emit('shed', shed),
    }
    const connectionLimits = limits ? new ConnectionLimits(limits, this.#registry) : undefined
    return new Reception(desk, this.#endings, this.#drain, connectionLimits, shedding)
  }

  #openProbeServer(): void {
    const { probes } = this.config
    if (!probes || probes.port === false || this.#probes === undefined || this.#probeServer !== undefined)
      return
    const { port } = probes
    this.#probeServer = openProbeServer(this.#probes, port, (error) => {
      this.#warnings.warn(
        'PEERPULSE_WARN_PROBES_PORT',
        `probes.port ${port}: ${error.message}; no probe is answered`,
        error,
      )
    })
  }

  #joinShutdown(): void {
    const { drain, dryRun } = this.config
    if (!drain || dryRun || this.#leaveShutdown !== undefined) return
    this.#leaveShutdown = shutDownOnSignals(drain, {
      now: () => this.clock.realNow(),
      hold: () => this.clock.hold(true),
      after: (ms, run) => {
        const entry = this.wheel.after(this.clock.now, ms, run)
        return () => this.wheel.cancel(entry)
      },
      drain: (why, options) => this.#drain.start(why, options),
      onReport: (report) =>
        this.#warnings.log((logger) =>
          logger.info({ event: 'drain:report', ...report }, `drained in ${report.durationMs} ms`),
        ),
      onHookError: (name, error) => this.#warnings.callbackFailed(name, error),
    })
  }

  #checkUsable(method: string): void {
    if (!this.#detached) return
    throw new PeerpulseError(
      'PEERPULSE_ERR_DETACHED',
      `${method}: this pulse was detached; make a new one with peerpulse()`,
    )
  }
}

/**
 * Makes a pulse. Starts nothing and touches nothing global until `attach` or the first request through `middleware()`.
 * Throws a `ConfigError` (`PEERPULSE_ERR_CONFIG`) that names every problem in the options at once.
 */
export function peerpulse(options?: PeerpulseOptions): Peerpulse {
  return new Pulse(options)
}

import { createServer, type Server as HttpServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { CloseReason, History } from '../types/close.js'
import type { Connection, Protocol } from '../types/connection.js'
import type { DrainReport } from '../types/drain.js'
import type { PeerpulseEvents, Shed } from '../types/events.js'
import type { Check, CheckOptions } from '../types/health.js'
import type { Monitor } from '../types/monitor.js'
import type { PeerpulseOptions, ResolvedConfig } from '../types/options.js'
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
import { joinShutdown } from './adapters/terminus.js'
import { clientAddress, compileTrust, type Trust } from './adapters/trust-proxy.js'
import { Clock } from './core/clock.js'
import { closeReasons } from './core/close-reason.js'
import { resolveConfig } from './core/config.js'
import { type ConnectionHost, PeerConnection } from './core/connection.js'
import { defaults, keepAliveBeyondBalancerMs } from './core/defaults.js'
import { Endings } from './core/endings.js'
import { PeerpulseError } from './core/errors.js'
import { Events } from './core/events.js'
import type { Policy } from './core/policy.js'
import type { Refusal } from './core/refusal.js'
import { Registry } from './core/registry.js'
import { type ConnectionSink, carried } from './core/sink.js'
import { Tracking } from './core/tracking.js'
import { Warnings } from './core/warnings.js'
import { Wheel } from './core/wheel.js'
import { Checks } from './health/checks.js'
import { ownChecks, Probes } from './health/probes.js'
import { CloseHistory } from './insight/close-history.js'
import { CloseLog } from './insight/close-log.js'
import { gatherEvidence } from './insight/evidence.js'
import { takeSnapshot } from './insight/snapshot.js'
import { createBufferedMonitor, createConnectionsMonitor } from './monitors/connections.js'
import { createLoopDelayMonitor, createLoopUtilizationMonitor } from './monitors/event-loop.js'
import { createHeapMonitor } from './monitors/heap.js'
import { memoryLimit } from './monitors/memory-limit.js'
import { createRssMonitor } from './monitors/rss.js'
import { Budget } from './policies/budget.js'
import { Drain } from './policies/drain.js'
import { createHeartbeat } from './policies/heartbeat.js'
import { createIdle } from './policies/idle.js'
import { createLifetime } from './policies/lifetime.js'
import { ConnectionLimits, createHandshakeDeadline } from './policies/limits.js'
import { Pressure } from './policies/pressure.js'
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
const leastTotalBudget = 32 * 1024 * 1024
const shareOfMemoryForBuffers = 16

let lastId = 0

/** Wires the parts together, and is what the servers' seams talk to. */
class Pulse implements Peerpulse, ConnectionSink, ConnectionHost {
  readonly config: ResolvedConfig
  readonly key = Symbol('peerpulse')
  readonly clock = new Clock(() => this.#turn())
  readonly wheel = new Wheel()
  readonly closeTimeoutMs: number
  readonly heartbeats = { pings: 0, pongs: 0 }
  readonly tracking: Tracking

  readonly #registry = new Registry()
  readonly #warnings: Warnings
  readonly #events: Events
  readonly #endings: Endings
  readonly #targets: Targets
  readonly #policies: Policy[] = []
  readonly #limits: ConnectionLimits | undefined
  readonly #budget: Budget | undefined
  readonly #pressure: Pressure | undefined
  readonly #shedding: Shedding | undefined
  readonly #drain: Drain
  readonly #checks: Checks
  readonly #probes: Probes | undefined
  readonly #history: CloseHistory | undefined
  readonly #log: CloseLog | undefined
  readonly #shed = new Map<CloseReason, number>()
  readonly #startedEpoch = Date.now()
  readonly #drainConfig: Exclude<ResolvedConfig['drain'], false>
  #trust: Trust | undefined
  #leaveShutdown: (() => void) | undefined
  #probeServer: HttpServer | undefined
  #servedUnattached = false
  #detached = false
  #ticks = 0

  constructor(options: PeerpulseOptions | undefined) {
    const config = resolveConfig(options, (trust) => void compileTrust(trust))
    this.config = config
    this.#drainConfig = config.drain || (defaults.drain as unknown as Exclude<ResolvedConfig['drain'], false>)
    this.closeTimeoutMs = this.#drainConfig.closeTimeoutMs
    const warnings = new Warnings(
      () => this.#events,
      config.log,
      () => this.clock.now,
    )
    this.#warnings = warnings
    this.#events = new Events((event, error) => warnings.callbackFailed(`${event} listener`, error))
    this.tracking = new Tracking(
      this.clock,
      this.wheel,
      (label) =>
        warnings.warn(
          'PEERPULSE_WARN_LEAK',
          `'${label}' outlived its connection by 5 s: end it in its track() cleanup, or dispose it`,
        ),
      (label, error) => warnings.callbackFailed(`cleanup of '${label}'`, error),
    )
    this.#endings = new Endings(config.dryRun, (message) => warnings.warn('PEERPULSE_WARN_DRY_RUN', message))
    this.#trust = config.limits ? compileTrust(config.limits.trustProxy) : undefined
    this.#targets = new Targets(this, this.#serverKnobs())
    this.#limits = config.limits ? new ConnectionLimits(config.limits, this.#registry) : undefined
    this.#budget = this.#createBudget()
    this.#pressure = this.#createPressure()
    if (this.#pressure !== undefined && config.pressure) {
      this.#shedding = new Shedding(this.#pressure, config.pressure, (error) =>
        warnings.callbackFailed('pressure.priority', error),
      )
    }
    this.#drain = new Drain(this.#drainConfig, this.clock, this.#registry, {
      stopListening: () => this.#targets.stopListening(),
      onPhase: (step) => {
        warnings.log((logger) =>
          logger.info(
            { event: 'drain:phase', ...step },
            `drain (${step.why}): ${step.phase}, ${step.connections} connections`,
          ),
        )
        if (this.#events.wants('drain:phase')) this.#events.emit('drain:phase', step)
      },
    })
    this.#checks = new Checks({
      clock: this.clock,
      wheel: this.wheel,
      timeoutMs: (config.probes || defaults.probes).checkTimeoutMs,
      cacheMs: (config.probes || defaults.probes).cacheMs,
      onChange: (change) => {
        if (this.#events.wants('check:change')) this.#events.emit('check:change', change)
      },
    })
    this.#probes = config.probes ? this.#createProbes(config.probes) : undefined
    this.#history = config.history ? new CloseHistory(config.history) : undefined
    this.#log = config.log ? new CloseLog(config.log, this.clock) : undefined
    this.#addPolicies()
  }

  // The public methods -------------------------------------------------------------------------------------------------

  attach<T extends AttachTarget>(target: T, ...more: AttachTarget[]): T {
    this.#checkUsable('attach')
    this.clock.start()
    this.#targets.attach([target, ...more])
    this.#joinShutdown()
    this.#openProbePort()
    return target
  }

  middleware(): Middleware {
    this.#checkUsable('middleware')
    return createMiddleware({
      wasSeen: (req) => carried(this, req.socket) !== undefined,
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
    this.#warnings.warn(
      'PEERPULSE_WARN_DRY_RUN',
      `dry run: a drain (${why}) would have closed ${this.#registry.size} connections`,
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
    for (const connection of this.#registry.all()) {
      this.wheel.cancel(connection)
      this.#targets.listeners.release(connection)
      this.#setTcpKeepAlive(connection.socket, false)
      this.#registry.remove(connection)
    }
    const probeServer = this.#probeServer
    if (probeServer?.listening) await new Promise((resolve) => probeServer.close(resolve))
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
    const { congested = 'skip' } = options
    const { clients } = wss as { clients?: Iterable<unknown> }
    if (!['skip', 'close', 'send'].includes(congested)) {
      throw new PeerpulseError(
        'PEERPULSE_ERR_INVALID_ARGUMENT',
        `broadcast: congested must be 'skip', 'close' or 'send', not '${String(congested)}'`,
      )
    }
    if (clients === undefined) {
      throw new PeerpulseError(
        'PEERPULSE_ERR_INVALID_ARGUMENT',
        'broadcast: this WebSocketServer has no clients; make it with clientTracking: true, the default of ws',
      )
    }
    const effective = this.#endings.dryRun ? 'send' : congested
    const highWaterBytes = this.config.budget
      ? this.config.budget.highWaterBytes
      : defaults.budget.highWaterBytes
    return broadcast(clients, data, effective, (webSocket) => carried(this, webSocket), highWaterBytes)
  }

  snapshot(): Snapshot {
    return takeSnapshot({
      clock: this.clock,
      registry: this.#registry,
      endings: this.#endings,
      tracking: this.tracking,
      heartbeats: this.heartbeats,
      shed: this.#shed,
      startedEpoch: this.#startedEpoch,
      attached: this.#targets.size,
      draining: this.#drain.active,
      callbackErrors: this.#warnings.callbackErrors,
      pressure: this.#pressure ?? { level: 'normal', since: 0, monitors: [], readings: {} },
    })
  }

  history(): History {
    return this.#history?.read() ?? { closes: [], peers: [] }
  }

  on<E extends keyof PeerpulseEvents>(event: E, listener: (payload: PeerpulseEvents[E]) => unknown): this {
    this.#events.on(event, listener as never)
    return this
  }
  once<E extends keyof PeerpulseEvents>(event: E, listener: (payload: PeerpulseEvents[E]) => unknown): this {
    this.#events.once(event, listener as never)
    return this
  }
  off<E extends keyof PeerpulseEvents>(event: E, listener: (payload: PeerpulseEvents[E]) => unknown): this {
    this.#events.off(event, listener as never)
    return this
  }

  // What the seams hand in ---------------------------------------------------------------------------------------------

  accept(socket: Socket, secure: boolean): PeerConnection | undefined {
    if (this.#limits?.overHardCap() === true) {
      const detail = 'more than 110 % of limits.maxConnections'
      if (
        !this.#noteShed({
          what: 'connection',
          reason: 'limit',
          status: undefined,
          detail,
          remoteAddress: socket.remoteAddress ?? 'unknown',
        })
      ) {
        socket.destroy()
        return undefined
      }
    }
    const connection = this.#register(socket)
    connection.handshaking = secure
    // Behind a proxy the peer is known by its first request.
    if (this.#limits !== undefined)
      connection.refusal = this.#limits.judge(connection, this.#trust === undefined)
    return connection
  }

  adopt(socket: Socket): PeerConnection {
    const connection = this.#register(socket)
    this.#targets.listeners.watch(socket, connection)
    return connection
  }

  request(connection: PeerConnection, req: IncomingMessage, res: ServerResponse): boolean {
    if (this.#probes !== undefined && this.#probeServer === undefined && this.#probes.handle(req, res))
      return true
    if (this.#drain.active) connection.retire('drain')
    const refusal = this.#refusalOf(connection, req) ?? this.#shedding?.request(req)
    if (refusal === undefined || this.#noteRefusal('request', refusal, connection.remoteAddress)) return false
    connection.retire(refusal.reason)
    refuseRequest(res, refusal)
    return true
  }

  upgrade(connection: PeerConnection, req: IncomingMessage): Refusal | undefined {
    const drainRefusal: Refusal | undefined = this.#drain.refusesUpgrades
      ? {
          status: 503,
          reason: 'drain',
          detail: 'the server is shutting down',
          retryAfterS: Math.ceil(this.retryMs() / 1000),
        }
      : undefined
    const refusal = drainRefusal ?? this.#refusalOf(connection, req) ?? this.#shedding?.upgrade(req)
    return refusal === undefined || this.#noteRefusal('upgrade', refusal, connection.remoteAddress)
      ? undefined
      : refusal
  }

  closed(connection: PeerConnection): void {
    if (connection.state === 'closed') return
    const { protocol, webSocket } = connection
    connection.settle(connection.transport.reasonOf(connection))
    const frame = typeof webSocket === 'object' && webSocket !== null ? closeFrameFrom(webSocket) : undefined
    const evidence = gatherEvidence(connection, this.#pressure?.level ?? 'normal', frame)
    this.#drain.count(connection)
    this.#budget?.forget(connection)
    this.wheel.cancel(connection)
    this.#registry.remove(connection)
    connection.finish(evidence)
    this.#registry.countClosed(connection.closeReason as CloseReason)
    this.#history?.note(connection, protocol)
    if (this.#log !== undefined) this.#warnings.log(() => this.#log?.note(connection, protocol))
    if (this.#events.wants('connection:close')) this.#events.emit('connection:close', connection)
  }

  // What connections ask -----------------------------------------------------------------------------------------------

  idleTimeoutOf(protocol: Protocol): number | false {
    const { idle } = this.config
    if (!idle || protocol === 'http1') return false
    return protocol === 'websocket' ? idle.websocketMs : protocol === 'sse' ? idle.sseMs : idle.upgradedMs
  }

  closeFrame(reason: CloseReason): { code: number; message: string } {
    const entry = closeReasons[reason]
    const code = reason === 'drain' && !this.#drainConfig.restart ? 1001 : (entry.webSocketCode ?? 1000)
    if (entry.reconnect === 'no') return { code, message: reason }
    const window = this.#reconnectWindow()
    const least = entry.reconnect === 'later' ? window : 0
    return { code, message: `${reason}; reconnect=${least}..${least + window}` }
  }

  retryMs(): number {
    return Math.round(Math.random() * this.#reconnectWindow())
  }

  visit(connection: PeerConnection): void {
    const { now } = this.clock
    let next = Number.POSITIVE_INFINITY
    for (const policy of this.#policies) next = Math.min(next, policy.visit(connection, now))
    // A connection that began to close meanwhile has put itself on the wheel, for its close timeout.
    if (connection.index !== -1 && connection.state !== 'closing') this.wheel.schedule(connection, next)
  }

  // ------------------------------------------------------------------------------------------------------------------

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
    if (this.#log !== undefined) this.#warnings.log(() => this.#log?.flush())
  }

  #register(socket: Socket): PeerConnection {
    const connection = new PeerConnection(++lastId, this, http1, socket)
    this.#registry.add(connection)
    this.#setTcpKeepAlive(socket, true)
    connection.reschedule()
    if (this.#drain.active) this.#drain.retire(connection)
    if (this.#events.wants('connection:open')) this.#events.emit('connection:open', connection)
    return connection
  }

  #setTcpKeepAlive(socket: Socket, on: boolean): void {
    const delayMs = this.config.heartbeat ? this.config.heartbeat.tcpKeepAliveMs : false
    const isTheApps = (socket as { server?: { keepAlive?: boolean } }).server?.keepAlive === true
    if (delayMs === false || isTheApps || socket.destroyed) return
    if (on) socket.setKeepAlive(true, delayMs)
    else socket.setKeepAlive(false)
  }

  /** A limit's refusal, judged again: there may be room by now. */
  #refusalOf(connection: PeerConnection, req: IncomingMessage): Refusal | undefined {
    const named = this.#trust !== undefined && this.#namePeer(connection, req)
    if (this.#limits !== undefined && (connection.refusal !== undefined || named)) {
      connection.refusal = this.#limits.judge(connection, true)
    }
    return connection.refusal
  }

  /** Takes the peer's address from the proxies that are trusted. `true`: it is another than before. */
  #namePeer(connection: PeerConnection, req: IncomingMessage): boolean {
    const address = this.#trust === undefined ? undefined : clientAddress(req, this.#trust)
    if (address === undefined || address === connection.remoteAddress) return false
    this.#registry.rename(connection, address)
    return true
  }

  #noteRefusal(what: Shed['what'], { status, reason, detail }: Refusal, remoteAddress: string): boolean {
    return this.#noteShed({ what, reason, status, detail, remoteAddress })
  }

  /** Counts and tells. `true`: dry run, serve it all the same. */
  #noteShed(shed: Omit<Shed, 'dryRun'>): boolean {
    const { dryRun } = this.#endings
    if (dryRun) this.#endings.countOnly(shed.reason)
    else this.#shed.set(shed.reason, (this.#shed.get(shed.reason) ?? 0) + 1)
    if (this.#events.wants('shed')) this.#events.emit('shed', { ...shed, dryRun })
    return dryRun
  }

  #answerUnattached(req: IncomingMessage, res: ServerResponse): boolean {
    if (this.#detached) return false
    if (!this.#servedUnattached) {
      this.#servedUnattached = true
      this.clock.start()
      this.#warnings.warn(
        'PEERPULSE_WARN_NOT_ATTACHED',
        'peerpulse: the middleware serves a server that is not attached: probes and shedding work; heartbeats, idle timeouts, budget, limits, close reasons and drain are off. Call pulse.attach(server)',
      )
    }
    if (this.#probes !== undefined && this.#probeServer === undefined && this.#probes.handle(req, res))
      return true
    const refusal = this.#shedding?.request(req)
    if (refusal === undefined || this.#noteRefusal('request', refusal, req.socket.remoteAddress ?? 'unknown'))
      return false
    refuseRequest(res, refusal)
    return true
  }

  #reconnectWindow(): number {
    return Math.max(1_000, this.#drainConfig.spreadMs)
  }

  #serverKnobs(): { keepAliveTimeout?: number; headersTimeout?: number } {
    const { behind, limits, dryRun } = this.config
    if (dryRun) return {}
    return {
      ...(behind && { keepAliveTimeout: behind.idleTimeoutMs + keepAliveBeyondBalancerMs }),
      ...(limits && limits.handshakeTimeoutMs !== false && { headersTimeout: limits.handshakeTimeoutMs }),
    }
  }

  #addPolicies(): void {
    const { limits, heartbeat, idle, lifetime } = this.config
    if (limits && limits.handshakeTimeoutMs !== false)
      this.#policies.push(createHandshakeDeadline(limits.handshakeTimeoutMs, this.#endings))
    if (heartbeat) this.#policies.push(createHeartbeat(heartbeat, this.#registry, this.#endings))
    // Also without the section: a connection may be given an idle timeout of its own.
    this.#policies.push(createIdle(idle || defaults.idle, this.#endings))
    if (lifetime)
      this.#policies.push(
        createLifetime({ maxAgeMs: lifetime.maxAgeMs, jitter: lifetime.jitter }, this.#endings),
      )
  }

  #createBudget(): Budget | undefined {
    const { budget, pressure } = this.config
    if (!budget) return undefined
    const limit = memoryLimit(pressure && pressure.memory ? pressure.memory.limitBytes : 'auto')
    const total =
      budget.totalBytes === 'auto'
        ? Math.max(leastTotalBudget, budget.perConnectionBytes, limit.bytes / shareOfMemoryForBuffers)
        : budget.totalBytes
    return new Budget(budget, total, this.#registry, this.#endings, (connection) => {
      const event = connection.congested ? 'connection:congested' : 'connection:drain'
      if (this.#events.wants(event)) this.#events.emit(event, connection)
    })
  }

  #createPressure(): Pressure | undefined {
    const { pressure, limits } = this.config
    if (!pressure) return undefined
    const monitors: Monitor[] = [
      createLoopDelayMonitor(this.clock, pressure.eventLoop),
      createLoopUtilizationMonitor(pressure.eventLoop),
    ]
    if (pressure.memory)
      monitors.push(createHeapMonitor(), createRssMonitor(memoryLimit(pressure.memory.limitBytes)))
    if (this.#budget !== undefined)
      monitors.push(createBufferedMonitor(() => this.#registry.bufferedBytes, this.#budget.totalBytes))
    if (limits && limits.maxConnections !== false)
      monitors.push(createConnectionsMonitor(() => this.#registry.size, limits.maxConnections))
    return new Pressure(
      pressure,
      monitors,
      (change) => {
        const message = `pressure is ${change.level} (was ${change.previous}): ${change.monitor} at ${Math.round(change.pressure * 100)} %`
        this.#warnings.log((logger) => logger.warn({ event: 'pressure:level', ...change }, message))
        if (this.#events.wants('pressure:level')) this.#events.emit('pressure:level', change)
      },
      (monitor, error) => this.#warnings.callbackFailed(`monitor '${monitor}'`, error),
    )
  }

  #createProbes(config: Exclude<ResolvedConfig['probes'], false>): Probes {
    return new Probes(config, this.#checks, {
      draining: () => this.#drain.active,
      // A request that came through the middleware shows that somebody listens.
      listening: () => this.#targets.listening || (this.#servedUnattached && this.#targets.size === 0),
      level: () => this.#pressure?.level ?? 'normal',
      onDetailsError: (error) => this.#warnings.callbackFailed('probes.details', error),
    })
  }

  #openProbePort(): void {
    const { probes } = this.config
    if (!probes || probes.port === false || this.#probeServer !== undefined) return
    const server = createServer((req, res) => {
      if (!this.#probes?.handle(req, res)) res.writeHead(404, { 'Content-Length': 0 }).end()
    })
    server.on('error', (error) =>
      this.#warnings.warn(
        'PEERPULSE_WARN_PROBES_PORT',
        `probes.port ${probes.port}: ${error.message}; the probes answer nowhere`,
        error,
      ),
    )
    server.listen(probes.port).unref()
    this.#probeServer = server
  }

  #joinShutdown(): void {
    const { drain, dryRun } = this.config
    if (!drain || dryRun || this.#leaveShutdown !== undefined) return
    let signalledAt = 0
    const elapsedMs = () => this.clock.realNow() - signalledAt
    const run = (name: 'beforeShutdown' | 'onSignal' | 'onShutdown') =>
      this.#runHook(name, drain.deadlineMs - elapsedMs())
    this.#leaveShutdown = joinShutdown({
      signals: drain.signals,
      beforeShutdown: () => {
        signalledAt = this.clock.realNow()
        this.clock.hold(true)
        return run('beforeShutdown')
      },
      drain: async (signal) => {
        const report = await this.#drain.start(signal, {
          skipDelay: signal === 'SIGINT',
          elapsedMs: elapsedMs(),
        })
        this.clock.hold(true)
        this.#warnings.log((logger) =>
          logger.info({ event: 'drain:report', ...report }, `drained in ${report.durationMs} ms`),
        )
      },
      onSignal: () => run('onSignal'),
      onShutdown: () => run('onShutdown'),
    })
  }

  /** Runs a hook of the app's; it can neither fail the shutdown nor hold it up. */
  #runHook(name: 'beforeShutdown' | 'onSignal' | 'onShutdown', leftMs: number): Promise<void> {
    const hook = this.#drainConfig[name]
    if (hook === undefined) return Promise.resolve()
    const limitMs = Math.max(0, Math.min(this.#drainConfig.hookTimeoutMs, leftMs))
    return new Promise((resolve) => {
      const failed = (error: unknown) => {
        this.#warnings.callbackFailed(`drain.${name}`, error)
        resolve()
      }
      const timer = this.wheel.after(this.clock.now, limitMs, () =>
        failed(new Error(`no end in ${Math.round(limitMs)} ms`)),
      )
      Promise.resolve()
        .then(() => hook())
        .then(() => resolve(), failed)
        .finally(() => this.wheel.cancel(timer))
    })
  }

  #checkUsable(method: string): void {
    if (this.#detached)
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

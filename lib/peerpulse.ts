import type { IncomingMessage, ServerResponse } from 'node:http'
import { Socket } from 'node:net'
import type { History } from '../types/close.js'
import type { Connection } from '../types/connection.js'
import type { DrainReport } from '../types/drain.js'
import type { PeerpulseEvents } from '../types/events.js'
import type { Check, CheckOptions } from '../types/health.js'
import type { PeerpulseOptions, ResolvedConfig, ResolvedDrain } from '../types/options.js'
import type {
  AttachTarget,
  BroadcastData,
  BroadcastOptions,
  BroadcastResult,
  Middleware,
  Peerpulse,
  Snapshot,
  WebSocketServerLike,
} from '../types/peerpulse.js'
import { createMiddleware, passOnMistake } from './adapters/middleware.js'
import { Neighbours } from './adapters/neighbours.js'
import { type Shutdown, shutDownOnDemand } from './adapters/shutdown.js'
import { compileTrust, ProxyTrust, serverOf } from './adapters/trust-proxy.js'
import { AbortGuard } from './core/abort-guard.js'
import { lastResort, systemTime } from './core/clock.js'
import { resolveConfig } from './core/config.js'
import { meantAsSeconds } from './core/config-seconds.js'
import type { PeerConnection } from './core/connection.js'
import { defaults, keepAliveBeyondBalancerMs } from './core/defaults.js'
import { describe } from './core/describe.js'
import { Endings } from './core/endings.js'
import { PeerpulseError } from './core/errors.js'
import type { Feature } from './core/feature.js'
import { forwardedAddress } from './core/forwarded.js'
import { Lifecycle } from './core/lifecycle.js'
import { outside } from './core/outside.js'
import { unknownAddress } from './core/peer-address.js'
import type { Policy } from './core/policy.js'
import type { EventName } from './core/reports/events.js'
import { Reports } from './core/reports/reports.js'
import { carried } from './core/sink.js'
import { TcpKeepAlive } from './core/tcp-keepalive.js'
import { Vitals } from './core/vitals.js'
import { Health } from './health/health.js'
import { CloseRecorder } from './insight/close-recorder.js'
import { gatherEvidence } from './insight/evidence.js'
import { createSnapshot } from './insight/snapshot.js'
import { describeCollected, KeptMemory } from './monitors/kept-memory.js'
import { memoryLimit } from './monitors/memory-limit.js'
import { createMonitors } from './monitors/standard-monitors.js'
import { Budget, totalBudget } from './policies/budget.js'
import { createConnectionPolicies } from './policies/connection-policies.js'
import { Drain } from './policies/drain.js'
import { describeReport } from './policies/drain-tally.js'
import { PressureControl } from './policies/pressure-control.js'
import { Reception } from './policies/reception.js'
import { ReconnectWindow } from './policies/reconnect-window.js'
import { broadcast } from './transports/broadcast.js'
import { connectionOf } from './transports/carriers.js'
import { http1 } from './transports/http1.js'
import { readKernelQueues } from './transports/kernel-queue.js'
import { refuseRequest } from './transports/refusal.js'
import { checkTarget, Targets } from './transports/targets.js'
import { closeFrameFrom } from './transports/ws-internals.js'

const notAttached =
  'the middleware serves a server that is not attached: probes and shedding work; heartbeats, idle ' +
  'timeouts, budget, limits, close reasons and drain are off. Call pulse.attach(server)'
const unknownWs =
  'this version of ws looks different inside: its WebSockets get no heartbeat and no idle timeout, and are ' +
  'closed without a close frame in a drain. Take ws 8'

/** An app has started by then, as a rule. */
const afterStartMs = 2_000

/** Wires the rooms together, and is what the app holds. */
class Pulse implements Peerpulse {
  readonly config: ResolvedConfig
  readonly #reports: Reports
  readonly #vitals = new Vitals()
  readonly #endings: Endings
  readonly #lifecycle: Lifecycle
  readonly #targets: Targets
  readonly #policies: readonly Policy[]
  readonly #budget: Budget | undefined
  readonly #control: PressureControl | undefined
  readonly #drain: Drain
  readonly #reception: Reception
  readonly #reconnect: ReconnectWindow
  readonly #health: Health
  readonly #closes: CloseRecorder
  readonly #trust: ProxyTrust
  readonly #startedEpoch = Date.now()
  readonly #neighbours: Neighbours
  #shutdown: Shutdown | undefined
  #servesUnattached = false
  #detached = false

  constructor(options: PeerpulseOptions | undefined) {
    this.config = resolveConfig(options, (trust) => void compileTrust(trust))
    const { config } = this
    const drainConfig = config.drain || (defaults.drain as unknown as ResolvedDrain)
    const reports = new Reports(config.log, systemTime.now)
    this.#reports = reports
    this.#trust = new ProxyTrust(config.limits && config.limits.trustProxy)
    this.#endings = new Endings(config.dryRun, (message) => reports.warn('PEERPULSE_WARN_DRY_RUN', message))
    this.#reconnect = new ReconnectWindow(drainConfig)
    this.#lifecycle = this.#createLifecycle(drainConfig.closeTimeoutMs)
    const lookAtWrite = (connection: PeerConnection) => this.#budget?.lookAtWrite(connection)
    this.#targets = new Targets(
      this.#lifecycle,
      this.#lifecycle.registry,
      this.#serverTimeouts(),
      config.budget ? lookAtWrite : undefined,
    )
    this.#closes = new CloseRecorder(config, this.#lifecycle.clock, reports)
    this.#lifecycle.clock.onStall = (at, ms) => {
      const stall = { at, ms, ongoing: false }
      this.#closes.stalls.note(stall)
      this.#reports.emit('stall', stall)
    }
    this.#policies = createConnectionPolicies(config, this.#endings, this.#vitals, () =>
      this.#neighbours.waitsForPongs(),
    )
    this.#neighbours = new Neighbours(config, (code, message) => reports.warnOnce(code, message))
    this.#budget = this.#createBudget()
    this.#control = this.#createPressure()
    this.#drain = this.#createDrain(drainConfig)
    this.#health = this.#createHealth()
    this.#reception = this.#createReception()
    for (const feature of this.#features()) this.#lifecycle.use(feature)
    const doubts = meantAsSeconds(options ?? {})
    // Not before the app had a chance to listen.
    if (doubts.length > 0)
      queueMicrotask(() => {
        for (const doubt of doubts) reports.warn('PEERPULSE_WARN_SECONDS', doubt)
      })
  }

  // The public methods ---------------------------------------------------------------------------

  attach<T extends AttachTarget>(target: T, ...more: AttachTarget[]): T {
    this.#checkUsable('attach')
    const targets = [target, ...more]
    for (const candidate of targets) checkTarget(candidate)
    outside(() => {
      this.#lifecycle.clock.start()
      this.#targets.attach(targets)
      for (const server of this.#targets.servers()) this.#trust.learnFrom(server)
      this.#joinShutdown()
      this.#lookForNeighbours()
      this.#health.open()
    })
    return target
  }

  middleware(...given: unknown[]): Middleware {
    if (given.length > 0) return passOnMistake(uncalledError(), given) as never
    this.#checkUsable('middleware')
    return createMiddleware({
      // A mock of a request may come without a socket.
      wasSeen: (req) => this.#detached || !req.socket || carried(this.#lifecycle, req.socket) !== undefined,
      answer: (req, res) => this.#answerUnattached(req, res),
      learnTrust: (req) => {
        if (this.#detached || !this.#trust.learnFromRequest(req)) return
        const connection = req.socket && carried(this.#lifecycle, req.socket)
        if (connection !== undefined) this.#namePeer(connection, req)
      },
    })
  }

  drain(given: unknown = 'drain()'): Promise<DrainReport> {
    const why = typeof given === 'string' ? given : describe(given)
    if (this.#detached) return Promise.reject(detachedError('drain'))
    if (!this.#endings.dryRun) return outside(() => this.#drain.start(why))
    const count = this.#lifecycle.registry.size
    this.#reports.warn(
      'PEERPULSE_WARN_DRY_RUN',
      `dry run: a drain (${why}) would have closed ${count} connections`,
    )
    return Promise.resolve(this.#drain.rehearse(why))
  }

  async detach(): Promise<void> {
    if (this.#detached) return
    // A drain that runs is let finish: its closes need the clock.
    if (this.#drain.active) await this.#drain.report
    this.#detached = true
    await outside(() => this.#lifecycle.stop())
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.detach()
  }

  connections(): Iterable<Connection> {
    return this.#lifecycle.registry.all()
  }

  connectionOf(carrier: object): Connection | undefined {
    return typeof carrier === 'object' && carrier !== null
      ? connectionOf(this.#lifecycle, carrier)
      : undefined
  }

  addCheck(name: string, check: Check, options: CheckOptions = {}): Disposable {
    this.#checkUsable('addCheck')
    return this.#health.addCheck(name, check, options)
  }

  broadcast(wss: WebSocketServerLike, data: BroadcastData, options: BroadcastOptions = {}): BroadcastResult {
    const { budget, dryRun } = this.config
    const { highWaterBytes } = budget || defaults.budget
    const result = broadcast(wss, data, options, {
      dryRun,
      highWaterBytes,
      connectionOf: (webSocket) => connectionOf(this.#lifecycle, webSocket),
    })
    this.#lifecycle.registry.skipped += result.skipped
    return result
  }

  snapshot(): Snapshot {
    const snapshot = createSnapshot(this.#startedEpoch, this.#endings.dryRun)
    this.#lifecycle.snapshot(snapshot)
    return snapshot
  }

  history(): History {
    return this.#closes.read()
  }

  on<E extends EventName>(event: E, listener: (payload: PeerpulseEvents[E]) => unknown): this {
    this.#reports.events.on(event, listener as never)
    return this
  }
  once<E extends EventName>(event: E, listener: (payload: PeerpulseEvents[E]) => unknown): this {
    this.#reports.events.once(event, listener as never)
    return this
  }
  off<E extends EventName>(event: E, listener: (payload: PeerpulseEvents[E]) => unknown): this {
    this.#reports.events.off(event, listener as never)
    return this
  }

  /** In the order in which they are told; the recorder before the reports, so that a listener finds the close in the history. */
  #features(): Feature[] {
    const { heartbeat } = this.config
    const { registry, clock } = this.#lifecycle
    const delayMs = heartbeat && heartbeat.tcpKeepAliveMs
    const learning: Feature = {
      name: 'trust',
      opened: ({ socket }) => this.#trust.learnFrom(serverOf(socket), clock.now),
    }
    const all: (Feature | undefined)[] = [
      this.#targets,
      this.#budget,
      this.#control,
      delayMs === false ? undefined : new TcpKeepAlive(delayMs, registry),
      learning,
      this.#drain,
      this.#reception,
      this.#closes,
      this.#neighbours,
      this.#health,
      this.#reports,
    ]
    return all.filter((feature) => feature !== undefined)
  }

  // The rooms ------------------------------------------------------------------------------------

  #createLifecycle(closeTimeoutMs: number): Lifecycle {
    const { idle, limits } = this.config
    return new Lifecycle({
      reports: this.#reports,
      closeTimeoutMs,
      ipv6PrefixBits: (limits || defaults.limits).ipv6PrefixBits,
      reconnect: this.#reconnect,
      idle,
      firstTransport: http1,
      watch: (socket, connection) => this.#targets.listeners.watch(socket, connection),
      door: () => this.#reception,
      policies: () => this.#policies,
      evidence: (connection) => gatherEvidence(connection, this.#vitals.level, closeFrameOf(connection)),
      unknownWebSocket: () => this.#reports.warnOnce('PEERPULSE_WARN_WS_INTERNALS', unknownWs),
    })
  }

  /** Whom trusted proxies name; `undefined` where nobody is trusted to. */
  #clientAddress(req: IncomingMessage): string | undefined {
    const trust = req.socket && this.#trust.of(req.socket)
    try {
      return trust && forwardedAddress(req, trust)
    } catch (error) {
      // Without the app's function nobody knows who the peer is, only that it may be a proxy.
      this.#reports.callbackFailed('limits.trustProxy', error)
      return unknownAddress
    }
  }

  #namePeer(connection: PeerConnection, req: IncomingMessage): boolean {
    const address = this.#clientAddress(req)
    if (address === undefined || address === connection.remoteAddress) return false
    this.#lifecycle.rename(connection, address)
    return true
  }

  #answerUnattached(req: IncomingMessage, res: ServerResponse): boolean {
    this.#lifecycle.clock.start()
    // The mock of a request says nothing of the server.
    if (req.socket instanceof Socket) {
      this.#servesUnattached = true
      this.#reports.warnOnce('PEERPULSE_WARN_NOT_ATTACHED', notAttached)
    } else this.#servesUnattached ||= this.#targets.size === 0
    return this.#reception.strayRequest(req, res)
  }

  #serverTimeouts(): { keepAliveTimeout?: number; headersTimeout?: number } {
    const { behind, limits, dryRun } = this.config
    if (dryRun) return {}
    return {
      ...(behind && { keepAliveTimeout: behind.idleTimeoutMs + keepAliveBeyondBalancerMs }),
      ...(limits && limits.handshakeTimeoutMs !== false && { headersTimeout: limits.handshakeTimeoutMs }),
    }
  }

  #createBudget(): Budget | undefined {
    const { budget, pressure } = this.config
    if (!budget) return undefined
    const limit = memoryLimit(pressure && pressure.memory ? pressure.memory.limitBytes : 'auto')
    return new Budget(
      budget,
      totalBudget(budget, limit.bytes),
      this.#lifecycle.registry,
      this.#endings,
      (connection) =>
        this.#reports.emit(connection.congested ? 'connection:congested' : 'connection:drain', connection),
      process.platform === 'linux' ? readKernelQueues : undefined,
    )
  }

  #createPressure(): PressureControl | undefined {
    const { pressure, limits } = this.config
    if (!pressure) return undefined
    const caps = { totalBytes: this.#budget?.totalBytes, maxConnections: limits && limits.maxConnections }
    const { clock, registry } = this.#lifecycle
    const kept = new KeptMemory((collected) =>
      this.#reports.log((logger) =>
        logger.info({ event: 'pressure:collected', ...collected }, describeCollected(collected)),
      ),
    )
    return new PressureControl(
      pressure,
      createMonitors(pressure, clock, registry, caps, undefined, kept),
      registry,
      this.#endings,
      kept,
      this.#reports,
      this.#vitals,
    )
  }

  #createDrain(config: ResolvedDrain): Drain {
    return new Drain(config, this.#lifecycle.clock, this.#lifecycle.registry, this.#vitals, {
      stopListening: () => this.#targets.stopListening(),
      leaveSharedPorts: () => this.#targets.leaveSharedPorts(),
      retryMs: () => this.#reconnect.pickMs(),
      isCleanedUp: () => this.#lifecycle.tracking.settling.size === 0,
      onPhase: (step) => {
        const message = `drain (${step.why}): ${step.phase}, connections left: ${step.connections}`
        this.#reports.log((logger) => logger.info({ event: 'drain:phase', ...step }, message))
        // The process may exit now.
        if (step.phase === 'done') this.#closes.sumUp()
        this.#reports.emit('drain:phase', step)
      },
    })
  }

  #createHealth(): Health {
    return new Health(this.config.probes, {
      clock: this.#lifecycle.clock,
      aborts: new AbortGuard((error) =>
        this.#reports.callbackFailed("abort listener of a check's signal", error),
      ),
      vitals: this.#vitals,
      // A request that came through the middleware shows that somebody listens.
      listening: () => this.#targets.listening || this.#servesUnattached,
      dryRun: this.config.dryRun,
      reports: this.#reports,
    })
  }

  #createReception(): Reception {
    const desk = {
      answerProbe: (req: IncomingMessage, res: ServerResponse) => this.#health.answer(req, res),
      answerRefusal: refuseRequest,
      namePeer: (connection: PeerConnection, req: IncomingMessage) => this.#namePeer(connection, req),
      peerIsKnown: ({ socket }: PeerConnection) => this.#trust.of(socket) === undefined,
      clientAddress: (req: IncomingMessage) => this.#clientAddress(req),
      onShed: (shed: PeerpulseEvents['shed']) => this.#lifecycle.shed(shed),
    }
    return new Reception(
      desk,
      this.config,
      this.#endings,
      this.#drain,
      this.#control,
      this.#lifecycle.registry,
      this.#reports,
    )
  }

  #joinShutdown(): void {
    const { drain, dryRun } = this.config
    if (!drain || dryRun || this.#shutdown !== undefined) return
    const { clock } = this.#lifecycle
    this.#shutdown = shutDownOnDemand(drain, {
      now: () => clock.realNow(),
      hold: () => clock.hold(true),
      after: (ms, run) => clock.afterReal(ms, run),
      lastResort,
      drain: (why, options) => (this.#detached ? undefined : this.#drain.start(why, options)),
      onReport: (report) =>
        this.#reports.log((logger) =>
          logger[report.cut.length > 0 ? 'warn' : 'info'](
            { event: 'drain:report', ...report },
            describeReport(report),
          ),
        ),
      onHookError: (name, error) => this.#reports.callbackFailed(name, error),
      failed: (error) => this.#lifecycle.failed(error),
      onOverdue: () => {
        const message = 'the shutdown has not ended at its deadline: the process exits'
        this.#reports.log((logger) => logger.error({ event: 'drain:overdue' }, message))
      },
      onUncaught: (error, origin) => {
        this.#reports.log((logger) =>
          logger.error({ event: origin, err: error }, `${origin}: the process drains, and exits with 1`),
        )
        return this.config.log !== false
      },
    })
    this.#lifecycle.use(this.#shutdown)
  }

  /** Now, and once more when the app has started: many listen for signals last. */
  #lookForNeighbours(): void {
    const look = () => {
      this.#neighbours.attached(this.#targets.withWebSockets)
      this.#neighbours.lookForSignalHandlers()
    }
    look()
    this.#lifecycle.wheel.after(this.#lifecycle.clock.now, afterStartMs, look)
  }

  #checkUsable(method: string): void {
    if (this.#detached) throw detachedError(method)
  }
}

function detachedError(method: string): PeerpulseError {
  const message = `${method}: this pulse was detached; make a new one with peerpulse()`
  return new PeerpulseError('PEERPULSE_ERR_DETACHED', message)
}

function uncalledError(): PeerpulseError {
  const message = 'middleware: takes no arguments; write app.use(pulse.middleware()), with parentheses'
  return new PeerpulseError('PEERPULSE_ERR_INVALID_ARGUMENT', message)
}

function closeFrameOf({ webSocket }: PeerConnection): ReturnType<typeof closeFrameFrom> {
  return typeof webSocket === 'object' && webSocket !== null ? closeFrameFrom(webSocket) : undefined
}

/**
 * Makes a pulse. Starts nothing and touches nothing global until `attach` or the first request through `middleware()`.
 * Throws a `ConfigError` (`PEERPULSE_ERR_CONFIG`) that names every problem in the options at once.
 */
export function peerpulse(options?: PeerpulseOptions): Peerpulse {
  return new Pulse(options)
}

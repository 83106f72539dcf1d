import type { IncomingMessage } from 'node:http'
import type { Logger } from './logger.js'
import type { Monitor, PressureActionName } from './monitor.js'

/** Detects dead peers. `false`: no pings, no TCP keepalive. */
export interface HeartbeatOptions {
  /** A WebSocket peer silent for this long gets a ping. Default 25 000: one ping inside a middlebox's usual 60 s. With `behind`, at most 0.4 of its `idleTimeoutMs`. */
  intervalMs?: number | undefined
  /** Silent for `intervalMs + timeoutMs`, it is terminated as `half-open`. Default 10 000. */
  timeoutMs?: number | undefined
  /** TCP keepalive's initial delay, on every socket: the only half-open detection for HTTP, SSE and unknown upgraded sockets. Default 30 000. `false`: left as the app set it. */
  tcpKeepAliveMs?: number | false | undefined
}

/** Application silence that closes a connection. All `false` by default: closing quiet users unasked is a bug report. */
export interface IdleOptions {
  /** WebSockets, without traffic in either direction. Pings and pongs are not traffic. */
  websocketMs?: number | false | undefined
  /** Server-sent event streams. */
  sseMs?: number | false | undefined
  /** Upgraded sockets of libraries that peerpulse does not know. */
  upgradedMs?: number | false | undefined
  /** WebSockets and upgraded sockets whose peer sent nothing: catches a leaked subscription that is still pushed to. */
  inboundMs?: number | false | undefined
}

/** Rotates long-lived connections, so that a fleet rebalances. `false` by default. */
export interface LifetimeOptions {
  maxAgeMs: number
  /** Part of `maxAgeMs` (0 to 1) that is taken off at random, so that connections of one moment do not end in one moment. Default 0.1. */
  jitter?: number | undefined
}

/** Bounds what connections buffer in this process. */
export interface BudgetOptions {
  /** Hard cap of one connection; above it, it is evicted at once, in a loop at the next write. Default 16 MiB. */
  perConnectionBytes?: number | undefined
  /** Above it a connection is `congested`. Default 1 MiB. */
  highWaterBytes?: number | undefined
  /** Below it a connection is no longer `congested`. Default 256 KiB. */
  lowWaterBytes?: number | undefined
  /**
   * Above high water without one byte drained, and on Linux none acknowledged, for this long: evicted as `slow-consumer`.
   * Default 2 000.
   */
  stalledMs?: number | undefined
  /**
   * All connections together; above it the heaviest are evicted, and those that are closing may hold half as much again. A
   * message that many peers share counts once for each. Default `'auto'`: a 16th of the memory limit, at least 32 MiB.
   */
  totalBytes?: number | 'auto' | undefined
}

/** When an action begins: with a level, or at a pressure of its own (above 0, at most 1); it ends with the same hysteresis and dwell as a level. `false`: never. */
export type PressureThreshold = 'elevated' | 'critical' | number | false

/** What is done under pressure, each from its own threshold on. docs/small-container.md says what a peer sees of it. */
export interface PressureActions {
  /** Responses get `Connection: close`. Default `'elevated'`. */
  closeConnections?: PressureThreshold | undefined
  /** Idle timeouts, heartbeat interval and timeout shrink, from all of themselves at this threshold to a quarter at a pressure of 1. Default `'elevated'`. */
  shortenTimeouts?: PressureThreshold | undefined
  /** Upgrades are answered with 503. Default `'elevated'`. */
  refuseUpgrades?: PressureThreshold | undefined
  /** Requests are answered with 503, in the order of `priority`. Probes never are. Default `'critical'`. */
  refuseRequests?: PressureThreshold | undefined
  /** The heaviest senders are not read for 2 s at a time, in turn. Default `'critical'`. */
  pauseReading?: PressureThreshold | undefined
  /** The heaviest slow consumers are closed as `slow-consumer`; where there is none, those without traffic for longest (10 s at least) as `shed`. Default 0.96. */
  evict?: PressureThreshold | undefined
}

/** When to refuse work. */
export interface PressureOptions {
  /** V8 heap against its limit and RSS against `limitBytes`. `'auto'`: the container's limit, else the machine's memory. `false`: memory does not act. */
  memory?: { limitBytes?: number | 'auto' | undefined } | false | undefined
  /** Pressure that enters `elevated` and `critical`. Default `[0.8, 0.92]`. */
  enter?: [number, number] | undefined
  /** Pressure below which `elevated` and `critical` are left. Default `[0.7, 0.85]`. */
  leave?: [number, number] | undefined
  /** Least time in a level before it is left downwards. Default 5 000. */
  dwellMs?: number | undefined
  /** No level is entered for this long after start. Default 10 000. */
  warmUpMs?: number | undefined
  /** `true`: event-loop delay and utilization raise the level too. Default `false`: they are only reported. */
  eventLoop?: boolean | undefined
  /** Monitors of your own, read with the others; one with the name of a standard monitor takes its place. Default none. */
  monitors?: readonly Monitor[] | undefined
  /** What is done under pressure, and from when on. `false`: nothing, the level is only reported. */
  actions?: PressureActions | false | undefined
  /**
   * Which requests and upgrades are refused last. 0, the default, from the action's threshold on; a priority `p` above
   * it when the pressure is `p / (p + 1)` of the way from there to 1, `Infinity` never; below 0 from `elevated` on.
   */
  priority?: ((req: IncomingMessage) => number) | undefined
}

/** Caps on connections. A connection is any open socket, pooled keep-alive included. */
export interface LimitsOptions {
  /** More are refused with 503 and `Retry-After`; above 110 % the socket is destroyed at accept. Default `false`. */
  maxConnections?: number | false | undefined
  /** More of one address, or more than twice as many of one IPv6 prefix, are refused with 429. Behind a balancer set `trustProxy` too. Default `false`. */
  maxPerPeer?: number | false | undefined
  /** How many bits of an IPv6 address make a peer, 1 to 128, for `maxPerPeer` and the history. Default 64: what a household or a virtual machine gets, and takes its addresses from (RFC 6177). */
  ipv6PrefixBits?: number | undefined
  /** TLS handshake, first request's headers, or upgrade not completed in this time: closed. Node's `headersTimeout` is at most this. Default 10 000. */
  handshakeTimeoutMs?: number | false | undefined
  /** Whose `X-Forwarded-For` counts, in Express' words: `true`, hops, addresses, or a function. Default `false`. */
  trustProxy?:
    | (boolean | number | string | string[] | ((address: string, hop: number) => boolean))
    | undefined
}

/** A step of the app's own in the shutdown. */
export type DrainHook = () => unknown

/** Shutdown. `false`: no signal handlers; `pulse.drain()` still works with the defaults. */
export interface DrainOptions {
  /**
   * Default `['SIGTERM', 'SIGINT']`. SIGINT skips the readiness delay. A repeat within a second, of the same or another
   * signal, is the same stop (npm, terminals and systemd send it twice); a later one exits at once, with 128 + its number.
   * With any signal here, a parent's `'shutdown'` message (pm2) and a cluster's `worker.disconnect()` are stops too, as SIGINT is.
   */
  signals?: NodeJS.Signals[] | undefined
  /** Readiness fails and everything is still served for this long, so that balancers notice. Default 5 000. */
  readinessDelayMs?: number | undefined
  /** WebSocket closes are spread over this time. Default 5 000. */
  spreadMs?: number | undefined
  /** How long a peer has to answer a close frame, in a drain or else. Default 2 000. */
  closeTimeoutMs?: number | undefined
  /** After this, what is left is terminated. In real time: whatever hangs, the process is gone a second later. Default 25 000: inside Kubernetes' 30 s. */
  deadlineMs?: number | undefined
  /** The grace period of the orchestrator (Kubernetes' `terminationGracePeriodSeconds`, in ms); the durations above are fitted to it and may not be given beside it. */
  terminationGraceMs?: number | undefined
  /** `true` closes WebSockets with 1012 (service restart), `false` with 1001 (going away). Default `true`. */
  restart?: boolean | undefined
  /** An uncaught exception, or a rejection that nobody handles, starts the drain too; the process then exits with 1. Default `false`: Node ends it at once. */
  uncaught?: boolean | undefined
  /** Runs first, before the drain. */
  beforeShutdown?: DrainHook | undefined
  /** Runs after the drain: close databases here. */
  onSignal?: DrainHook | undefined
  /** Runs last, before the process exits. */
  onShutdown?: DrainHook | undefined
  /** Time limit of each hook, in real time. Default 5 000. */
  hookTimeoutMs?: number | undefined
}

/** Readiness warns from the level `elevated` on, and fails while requests are refused. Where they are served at `critical`: when and for how long it fails. Out of rotation, a process has others carry its load. */
export interface LoadReadinessOptions {
  /** It fails once the level has been `critical` for this long. Default 5 000: a dwell. */
  failAfterMs?: number | undefined
  /** It fails for this long at most; then it passes, with a warning, for as long as it had failed. Default 30 000: what Kubernetes takes to notice and to come back. */
  maxOutMs?: number | undefined
}

/** Health probes. `false`: none is answered. */
export interface ProbesOptions {
  /** Path of the liveness probe. Default `/livez`. `false`: it is not answered. */
  livez?: string | false | undefined
  /** Path of the readiness probe. Default `/readyz`. `false`: it is not answered. */
  readyz?: string | false | undefined
  /** Path of the startup probe. Default `/startupz`. `false`: it is not answered. */
  startupz?: string | false | undefined
  /** A port of its own for the probes, on all addresses, opened at `attach`; the app's port then answers none. `false`: on the app's port. */
  port?: number | false | undefined
  /** Time limit of a check, and of a probe's whole answer, in real time. Default 900: the kubelet gives up after 1 s. */
  checkTimeoutMs?: number | undefined
  /** How long a check's result is used again. Default 1 000. */
  cacheMs?: number | undefined
  /** How the pressure of memory and event loop shows in readiness. `false`: as a warning only. */
  pressure?: LoadReadinessOptions | false | undefined
  /** Who sees check names and outputs, and which monitor reads what: `'loopback'` (default: who asks on this machine, by its name or address and not by way of a proxy), `true`, `false`, or a function of the request. */
  details?: ('loopback' | boolean | ((req: IncomingMessage) => boolean)) | undefined
}

/** What the load balancer in front does. `false` by default. */
export interface BehindOptions {
  /** The balancer's idle timeout. Node's keep-alive timeout becomes this + 5 s, the ping interval at most 0.4 of it. */
  idleTimeoutMs: number
}

/** Bounds of `pulse.history()`. `false`: nothing is kept. */
export interface HistoryOptions {
  /** Default 1 000, 1 000 000 at most. */
  maxCloses?: number | undefined
  /** Default 5 000, 1 000 000 at most. */
  maxPeers?: number | undefined
}

/** Options of `peerpulse()`. Durations are milliseconds, sizes bytes; off is `false`, and `0` is a value. docs/config.md has every default and its reason. */
export interface PeerpulseOptions {
  heartbeat?: HeartbeatOptions | false | undefined
  idle?: IdleOptions | false | undefined
  lifetime?: LifetimeOptions | false | undefined
  budget?: BudgetOptions | false | undefined
  pressure?: PressureOptions | false | undefined
  limits?: LimitsOptions | false | undefined
  drain?: DrainOptions | false | undefined
  probes?: ProbesOptions | false | undefined
  behind?: BehindOptions | false | undefined
  history?: HistoryOptions | false | undefined
  /** A pino-shaped logger: one structured line a close, and warnings. Default `false`. */
  log?: Logger | false | undefined
  /** Watch, explain and report what would have been shed, closed or evicted, but touch nobody. Default `false`. */
  dryRun?: boolean | undefined
}

type Resolved<T> = { readonly [K in keyof T]-?: Exclude<T[K], undefined> }

/** The signal-and-hooks part of `drain`, whose hooks may be absent. */
export interface ResolvedDrain
  extends Resolved<Omit<DrainOptions, 'terminationGraceMs' | 'beforeShutdown' | 'onSignal' | 'onShutdown'>> {
  readonly beforeShutdown?: DrainHook
  readonly onSignal?: DrainHook
  readonly onShutdown?: DrainHook
}

/** The `pressure` section with its defaults. */
export interface ResolvedPressure extends Resolved<Omit<PressureOptions, 'priority' | 'memory' | 'actions'>> {
  readonly actions: Readonly<Record<PressureActionName, PressureThreshold>>
  readonly memory: { readonly limitBytes: number | 'auto' } | false
  readonly priority?: (req: IncomingMessage) => number
}

/** What `pulse.config` is: every option with its value, frozen. */
export interface ResolvedConfig {
  readonly heartbeat: Resolved<HeartbeatOptions> | false
  readonly idle: Resolved<IdleOptions> | false
  readonly lifetime: Resolved<LifetimeOptions> | false
  readonly budget: Resolved<BudgetOptions> | false
  readonly pressure: ResolvedPressure | false
  readonly limits: Resolved<LimitsOptions> | false
  readonly drain: ResolvedDrain | false
  readonly probes:
    | (Resolved<Omit<ProbesOptions, 'pressure'>> & {
        readonly pressure: Resolved<LoadReadinessOptions> | false
      })
    | false
  readonly behind: BehindOptions | false
  readonly history: Resolved<HistoryOptions> | false
  readonly log: Logger | false
  readonly dryRun: boolean
}

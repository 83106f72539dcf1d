import type { Server as HttpServer, IncomingMessage, ServerResponse } from 'node:http'
import type { Server as HttpsServer } from 'node:https'
import type { Duplex } from 'node:stream'
import type { CloseReason, History } from './close.js'
import type { Connection, Protocol } from './connection.js'
import type { DrainReport } from './drain.js'
import type { PeerpulseEvents, Stall } from './events.js'
import type { Check, CheckOptions } from './health.js'
import type { PressureActionName, PressureLevel } from './monitor.js'
import type { ResolvedConfig } from './options.js'

/** A `WebSocketServer` of `ws`, by what peerpulse needs of it, so that no types of `ws` are needed. */
export interface WebSocketServerLike {
  options: object
  handleUpgrade: (...args: never[]) => unknown
  on(event: string, listener: (...args: never[]) => void): unknown
  emit(event: string | symbol, ...args: never[]): boolean
}

/** What `attach` takes. */
export type AttachTarget = HttpServer | HttpsServer | WebSocketServerLike

/** Express 4 and 5, Connect, or a raw http handler with a `next`. */
export type Middleware = (req: IncomingMessage, res: ServerResponse, next: (error?: unknown) => void) => void

/** What `ws` sends and hands out as messages. */
export type BroadcastData = string | ArrayBuffer | ArrayBufferView | readonly Uint8Array[]

/** What `broadcast` does with a congested peer. */
export interface BroadcastOptions {
  /** `skip` it, `close` it as `slow-consumer`, or `send` all the same. Default `skip`. */
  congested?: 'skip' | 'close' | 'send' | undefined
  /** Whether it is sent as a binary message. Default: a string is text, all else is binary, as `ws` does. */
  binary?: boolean | undefined
}

/** What became of a broadcast: how many peers of each kind. */
export interface BroadcastResult {
  sent: number
  skipped: number
  closed: number
}

/** The state of the pulse at one moment; plain JSON. */
export interface Snapshot {
  /** Epoch milliseconds. */
  time: number
  uptimeMs: number
  attached: number
  draining: boolean
  dryRun: boolean
  /** The port on which the probes listen, with `probes.port`; `false` while they are on the app's. */
  probesPort: number | false
  connections: {
    open: number
    byProtocol: Partial<Record<Protocol, number>>
    congested: number
    peers: number
    bufferedBytes: number
  }
  totals: {
    opened: number
    closed: Partial<Record<CloseReason, number>>
    /** Refused requests, upgrades and sockets, by reason. */
    shed: Partial<Record<CloseReason, number>>
    /** What a dry run would have closed or refused, by reason. */
    dryRun: Partial<Record<CloseReason, number>>
    /** Messages that `broadcast` kept from congested peers. */
    skipped: number
    pings: number
    pongs: number
    /** Tracked streams that outlived their connection, by label. */
    leaks: Record<string, number>
    /** Exceptions, rejections and wrong answers of the app's listeners, cleanups, hooks and other callbacks. A check that throws fails its probe instead. */
    callbackErrors: number
  }
  pressure: {
    level: PressureLevel
    sinceMs: number
    /** Each monitor's last reading, its limit and where that came from. One that could not be read has no pressure. */
    monitors: Record<string, { pressure: number | undefined } & Record<string, number | string | undefined>>
    /** Whether an action is on, and what it has done since attach (in a dry run: would have done); for `shortenTimeouts` how often it began. */
    actions: Partial<Record<PressureActionName, { active: boolean; count: number }>>
    /** What idle and heartbeat timeouts are multiplied with at this moment: 1 without pressure. */
    timeoutScale: number
    /** Connections that are not read at this moment. */
    paused: number
  }
  loop: {
    /** Stalls of the event loop since attach: turns that came 100 ms late or more. */
    stalls: number
    stalledMs: number
    longestMs: number
  }
  /** The last 20 of these stalls, the newest first. */
  stalls: Stall[]
}

/** What `peerpulse()` returns. */
export interface Peerpulse extends AsyncDisposable {
  /** Every option with its value, frozen. */
  readonly config: ResolvedConfig
  /**
   * Watches http and https servers and `WebSocketServer`s: any order, any number of times, before or after `listen`.
   * A WebSocketServer brings the server it sits on. Returns the first target.
   * Throws `PEERPULSE_ERR_ATTACH_TARGET` for anything else, before anything was attached.
   */
  attach<T extends AttachTarget>(target: T, ...more: AttachTarget[]): T
  /** Probes and shedding in the app's own chain. Beside `attach` it is harmless: the server was asked before the app. */
  middleware(): Middleware
  /** Shuts down: see docs/architecture.md. Draining twice is one drain. Never exits the process. */
  drain(why?: string): Promise<DrainReport>
  /**
   * Stops watching. Servers, sockets and process are left as they were, open connections untouched: whatever was
   * tracked on them is not cancelled any more. A drain that runs is let finish first.
   */
  detach(): Promise<void>
  /** The connections that are open now. */
  connections(): Iterable<Connection>
  /** The connection of a request, response, socket or WebSocket; `undefined` when it is not watched. Also inside the app's own `'connection'` listener. */
  connectionOf(carrier: IncomingMessage | ServerResponse | Duplex | object): Connection | undefined
  /**
   * Adds a check to a probe (default `readyz`). Dispose the result to remove it.
   * Throws `PEERPULSE_ERR_INVALID_ARGUMENT` for a name that is taken or cannot stand in a URL, and for wrong options.
   */
  addCheck(name: string, check: Check, options?: CheckOptions): Disposable
  /** Sends `data` to every open client of a WebSocketServer, and spares those that do not read. */
  broadcast(wss: WebSocketServerLike, data: BroadcastData, options?: BroadcastOptions): BroadcastResult
  /** The state at this moment, as plain JSON. Costs a look at every connection. */
  snapshot(): Snapshot
  /** The last closes with their evidence, and what each peer did lately, as plain JSON. */
  history(): History
  /** Listens to an event; docs/events.md lists them. A listener that throws or rejects is caught and reported. */
  on<E extends keyof PeerpulseEvents>(event: E, listener: (payload: PeerpulseEvents[E]) => unknown): this
  once<E extends keyof PeerpulseEvents>(event: E, listener: (payload: PeerpulseEvents[E]) => unknown): this
  off<E extends keyof PeerpulseEvents>(event: E, listener: (payload: PeerpulseEvents[E]) => unknown): this
}

import cluster from 'node:cluster'
import { Server as HttpServer } from 'node:http'
import { Server as HttpsServer } from 'node:https'
import { Server as NetServer, Socket } from 'node:net'
import type { AttachTarget, Snapshot, WebSocketServerLike } from '../../types/peerpulse.js'
import type { PeerConnection } from '../core/connection.js'
import { describe } from '../core/describe.js'
import { PeerpulseError } from '../core/errors.js'
import type { Feature } from '../core/feature.js'
import type { ConnectionSink } from '../core/sink.js'
import type { Seam } from './emit-seam.js'
import { watchHttpServer } from './http-server.js'
import { lookForReset } from './pipelining.js'
import { fitTimeouts, type ServerTimeouts } from './server-timeouts.js'
import { SocketListeners } from './socket-listeners.js'
import { WebSocketListeners } from './websocket.js'
import { watchWebSocketServer } from './websocket-server.js'
import { createResponseGuard, createSendGuard, type LookAtWrite } from './write-guard.js'
import { httpServerBelow } from './ws-internals.js'

interface Attached extends Seam {
  readonly server: HttpServer | undefined
  refit?(): void
}

/** The servers that are attached. */
export class Targets implements Feature {
  readonly name = 'targets'
  readonly listeners: SocketListeners
  readonly webSockets: WebSocketListeners
  readonly #sink: ConnectionSink
  readonly #timeouts: ServerTimeouts
  readonly #connections: Iterable<PeerConnection>
  readonly #attached = new Map<object, Attached>()

  /** `lookAtWrite`: asked before something is written to a peer that has a backlog; without it writes are not seen. */
  constructor(
    sink: ConnectionSink,
    connections: Iterable<PeerConnection>,
    timeouts: ServerTimeouts,
    lookAtWrite: LookAtWrite | undefined,
  ) {
    this.#sink = sink
    this.#connections = connections
    this.#timeouts = timeouts
    this.webSockets = new WebSocketListeners(
      sink,
      (socket) => this.listeners.leaveToWebSocket(socket),
      createSendGuard(sink, lookAtWrite),
    )
    this.listeners = new SocketListeners(
      sink,
      this.webSockets,
      lookAtWrite && createResponseGuard(sink, lookAtWrite),
    )
  }

  get size(): number {
    return this.#attached.size
  }

  /** Whether every http server that is attached listens, and there is one. */
  get listening(): boolean {
    const servers = this.servers()
    return servers.length > 0 && servers.every((server) => server.listening)
  }

  /** Those that have WebSockets, as far as can be seen: servers that take upgrades, and WebSocketServers. */
  get withWebSockets(): object[] {
    return [...this.#attached].flatMap(([target, { server }]) =>
      server === undefined || server.listenerCount('upgrade') > 0 ? [target] : [],
    )
  }

  attach(targets: readonly AttachTarget[]): void {
    for (const target of targets) this.#attachOne(target)
  }

  /** Refuses new connections and leaves the open ones alone; `server.close()` would end pooled sockets under their next request. */
  stopListening(): void {
    for (const server of this.servers()) this.#stop(server)
  }

  /**
   * In a cluster's worker, stops listening where others go on: on ports that the primary shares out. Nobody is refused or
   * reset by it, since whoever was on the way to this worker is handed to another. `true`: others listen in our place.
   */
  leaveSharedPorts(): boolean {
    const shared = this.servers().filter((server) => server.listening && sharesPort(server))
    for (const server of shared) this.#stop(server)
    return shared.length > 0 || cluster.worker?.exitedAfterDisconnect === true
  }

  /** One server that cannot be stopped does not keep the others listening. */
  #stop(server: HttpServer): void {
    try {
      if (server.listening) NetServer.prototype.close.call(server)
    } catch (error) {
      this.#sink.failed(error)
    }
  }

  /** A socket that is gone without an event of its own: it was dead before we came, or the app took our listeners off. */
  look(connection: PeerConnection): void {
    if (isGone(connection)) this.listeners.lost(connection)
    else lookForReset(connection)
  }

  /** The app may have changed its timeouts. */
  tick(): void {
    for (const attached of this.#attached.values()) attached.refit?.()
  }

  snapshot(into: Snapshot): void {
    into.attached = this.size
  }

  /** Gives everything back. */
  stop(): void {
    for (const attached of this.#attached.values()) attached.restore()
    this.#attached.clear()
    for (const connection of this.#connections) {
      // A socket's methods may be the app's own; the others are let go of all the same.
      try {
        this.listeners.release(connection)
      } catch (error) {
        this.#sink.failed(error)
      }
    }
  }

  /** The http and https servers. */
  servers(): HttpServer[] {
    return [...this.#attached.values()].flatMap(({ server }) => server ?? [])
  }

  #attachOne(target: AttachTarget): void {
    if (this.#attached.has(target)) return
    if (isHttpServer(target)) {
      const seam = watchHttpServer(target, this.#sink, this.listeners)
      const timeouts = fitTimeouts(target, this.#timeouts)
      this.#attached.set(target, {
        server: target,
        refit: timeouts.refit,
        restore() {
          seam.restore()
          timeouts.restore()
        },
      })
      return
    }
    const wss = target as WebSocketServerLike
    const below = httpServerBelow(wss)
    if (below !== undefined && isHttpServer(below)) this.#attachOne(below)
    const seam = watchWebSocketServer(wss as never, this.webSockets, (error) => this.#sink.failed(error))
    this.#attached.set(wss, { server: undefined, restore: seam.restore })
  }
}

/** Destroyed; or without a handle, which an app may hand over to a child process. */
function isGone({ socket }: PeerConnection): boolean {
  return socket.destroyed || (socket as { _handle?: unknown })._handle === null
}

/** `node:cluster` puts a `close` of its own on what a worker listens with; a worker that listens alone has Node's. */
function sharesPort(server: HttpServer): boolean {
  const handle = (server as { _handle?: object | null })._handle
  return cluster.isWorker && handle != null && Object.hasOwn(handle, 'close')
}

function isHttpServer(target: unknown): target is HttpServer {
  return target instanceof HttpServer || target instanceof HttpsServer
}

function isWebSocketServer(target: unknown): target is WebSocketServerLike {
  const wss = target as Partial<WebSocketServerLike> | null | undefined
  return (
    typeof wss === 'object' &&
    wss !== null &&
    typeof wss.handleUpgrade === 'function' &&
    typeof wss.options === 'object' &&
    wss.options !== null &&
    typeof wss.emit === 'function'
  )
}

/** Throws for what is nothing to attach. */
export function checkTarget(target: unknown): void {
  if (isHttpServer(target) || isWebSocketServer(target)) {
    const own = Object.getOwnPropertyDescriptor(target, 'emit')
    if (Object.isExtensible(target) && own?.configurable !== false) return
    throw refused('one that is frozen: it can be seen by its emit alone')
  }
  throw refused(explain(target))
}

function refused(what: string): PeerpulseError {
  return new PeerpulseError(
    'PEERPULSE_ERR_ATTACH_TARGET',
    `attach: expected an http or https server, or a WebSocketServer, not ${what}`,
  )
}

/** What they hold in place of a server, and what to pass instead. */
const mistaken: readonly [is: (target: Record<string, unknown>) => boolean, what: string][] = [
  [Array.isArray, 'a list; pass its members one by one, as attach(server, wss)'],
  [({ updateSettings }) => updateSettings !== undefined, 'an HTTP/2 server, which is not supported yet'],
  [
    ({ of, engine, sockets }) => typeof of === 'function' && (engine !== undefined || sockets !== undefined),
    'a Socket.IO server; attach the http server that it sits on (io.httpServer)',
  ],
  [
    ({ addHook, inject }) => typeof addHook === 'function' && typeof inject === 'function',
    'a Fastify instance; attach its server (app.server)',
  ],
  [
    ({ getHttpServer }) => typeof getHttpServer === 'function',
    'a Nest application; attach its server (app.getHttpServer())',
  ],
  [
    ({ callback, middleware }) => typeof callback === 'function' && Array.isArray(middleware),
    'a Koa application; attach what app.listen() returned, or http.createServer(app.callback())',
  ],
  [({ then }) => typeof then === 'function', 'a promise; await it, and attach the server'],
  [
    ({ readyState, ping }) => readyState !== undefined && typeof ping === 'function',
    'a WebSocket; attach the WebSocketServer, or the http server below it',
  ],
  [(target) => target instanceof Socket, 'a socket; attach the server that it came from'],
  [
    ({ handleUpgrade, clients }) => typeof handleUpgrade === 'function' && clients !== undefined,
    'an engine.io server; attach the http server that it sits on',
  ],
  [
    (target) => target instanceof NetServer,
    'a TCP server, whose connections have no requests; attach the http server',
  ],
]

function explain(target: unknown): string {
  if (typeof target === 'function')
    return 'a function; with Express, attach what app.listen() or http.createServer(app) returned'
  if (target === undefined || target === null)
    return `${target}; attach what app.listen() or http.createServer(app) returned`
  if (typeof target !== 'object') return describe(target)
  const known = mistaken.find(([is]) => is(target as Record<string, unknown>))
  if (known !== undefined) return known[1]
  const below = ['server', 'httpServer', 'listener'].find((name) =>
    isHttpServer((target as Record<string, unknown>)[name]),
  )
  return below === undefined ? describe(target) : `${describe(target)}; attach its ${below}`
}

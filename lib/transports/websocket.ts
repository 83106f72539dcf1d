import { Socket } from 'node:net'
import { reasonOfSocketError } from '../core/close-reason.js'
import { never, type PeerConnection, type PeerTransport } from '../core/connection.js'
import { peerText } from '../core/peer-text.js'
import { type ConnectionSink, carried } from '../core/sink.js'
import {
  beginsControlFrame,
  controlFrameAt,
  isOurPong,
  isPing,
  pingFrame,
  pingPayload,
} from './control-frames.js'
import { destroySocket, drainedBytes, goOnReading, stopReading, writtenBytes } from './socket.js'
import { createControlGuard, type WriteGuard } from './write-guard.js'
import {
  closedHere,
  closeFrameFrom,
  controlBytesDue,
  endsForPings,
  isKeptAlive,
  isWebSocket,
  mustMask,
  OPEN,
  socketBelow,
  type WebSocketLike,
} from './ws-internals.js'

/** Microseconds that go round after 71 minutes, as an integer. */
const micros = () => (performance.now() * 1000) | 0

const webSocketOf = (connection: PeerConnection) => connection.webSocket as WebSocketLike

/** WebSockets of `ws`, and of every library that sits on it. */
export const websocket: PeerTransport = {
  pings: true,
  protocolOf: () => 'websocket',
  phaseOf: () => 'established',
  bytesRead: ({ socket }) => socket.bytesRead,
  bytesWritten: ({ socket }) => writtenBytes(socket),
  bufferedBytes: (connection) => webSocketOf(connection).bufferedAmount,
  drainedBytes: ({ socket }) => drainedBytes(socket),
  ping(connection) {
    const { socket } = connection
    if (webSocketOf(connection).readyState !== OPEN || !socket.writable) return false
    connection.pingSentMicros = micros()
    connection.host.heartbeats.pings++
    // `ws` writes every frame in one go, so there is always room between two; its own `ping()` costs twice as much.
    if (mustMask(webSocketOf(connection))) webSocketOf(connection).ping(pingPayload)
    else {
      connection.knownOutbound += pingFrame.length
      socket.write(pingFrame)
    }
    return true
  },
  hasOtherHeartbeat: (connection) => isKeptAlive(webSocketOf(connection)),
  isPaused: (connection) =>
    connection.extras?.readPaused === true ||
    webSocketOf(connection).isPaused === true ||
    connection.socket.isPaused(),
  pause: (connection) =>
    webSocketOf(connection).readyState === OPEN &&
    !websocket.isPaused(connection) &&
    stopReading(connection.socket),
  resume: ({ socket }) => goOnReading(socket),
  isBusy: () => false,
  onDrain: () => 'end',
  retire() {},
  close(connection, reason) {
    const { code, message } = connection.host.reconnect.closeFrame(reason)
    webSocketOf(connection).close(code, message)
  },
  terminate(connection, reset) {
    if (reset) destroySocket(connection.socket, true)
    else webSocketOf(connection).terminate()
  },
  reasonOf(connection) {
    const { serverWentFirst, errorReason, floodedWithPings } = connection.noteEnd()
    if (serverWentFirst || appIsClosing(connection)) return 'server-closed'
    if (closeFrameFrom(webSocketOf(connection)) !== undefined) return 'peer-closed'
    if (errorReason !== undefined) return errorReason
    if (connection.socket.readableEnded) return 'peer-ended'
    if (!floodedWithPings) return 'server-closed'
    connection.noteEnd().errorMessage ??= 'more pings than ws answers at once'
    return 'protocol-error'
  },
}

function appIsClosing({ webSocket }: PeerConnection): boolean {
  return webSocket !== undefined && webSocket !== null && closedHere(webSocket)
}

/** Pings and pongs at the start of a chunk are no traffic. What follows a message in one chunk comes with traffic anyway. */
function noteControlFrames(connection: PeerConnection, chunk: Buffer): void {
  const begun = controlBytesDue(webSocketOf(connection), chunk)
  if (begun === undefined) return
  let pings = 0
  let at = Math.min(begun, chunk.length)
  for (let size = controlFrameAt(chunk, at); size > 0; size = controlFrameAt(chunk, at)) {
    if (isOurPong(chunk, at) && connection.pingSentAt !== never) {
      connection.rttMicros = Math.max(0, (micros() - connection.pingSentMicros) | 0)
      connection.host.heartbeats.pongs++
    }
    if (isPing(chunk, at)) pings++
    at += size
  }
  if (beginsControlFrame(chunk, at)) at = chunk.length
  // A look may have counted them already: they come later than they are read, if the app paused or they came with the upgrade.
  connection.knownInbound = Math.min(connection.knownInbound + at, connection.socket.bytesRead)
  if (pings > 0 && endsForPings(webSocketOf(connection), pings)) connection.noteEnd().floodedWithPings = true
}

/** The listeners that all WebSockets of a pulse share; `this` tells them apart. */
export class WebSocketListeners {
  readonly #sink: ConnectionSink
  readonly #onAdopted: (socket: Socket) => void
  readonly #guards: readonly WriteGuard[]
  readonly #onData: (this: Socket, chunk: Buffer) => void
  readonly #onFinish: (this: Socket) => void
  readonly #onError: (this: object, error: NodeJS.ErrnoException) => void

  /** `onAdopted`: told of a socket whose errors and FIN `ws` answers from now on. `guard`: sees what is sent. */
  constructor(sink: ConnectionSink, onAdopted: (socket: Socket) => void, guard: WriteGuard) {
    this.#sink = sink
    this.#onAdopted = onAdopted
    this.#guards = [guard, createControlGuard(sink, 'ping'), createControlGuard(sink, 'pong')]
    // This listener is also what keeps a malformed frame from ending the process.
    function onError(this: object, error: NodeJS.ErrnoException): void {
      const socket = socketBelow(this)
      const connection = socket && carried(sink, socket)
      if (connection === undefined) return
      const notes = connection.noteEnd()
      notes.errorCode ??= typeof error?.code === 'string' ? error.code : undefined
      notes.errorMessage ??= peerText(String(error?.message ?? error))
      if (!appIsClosing(connection) || notes.errorCode?.startsWith('WS_ERR_'))
        connection.settle(reasonOfSocketError(notes.errorCode))
    }
    this.#onError = onError
    this.#onData = function (this: Socket, chunk) {
      const connection = carried(sink, this)
      if (connection === undefined) return
      connection.markSeen()
      const webSocket = webSocketOf(connection)
      // The app may have taken all listeners off. Without any, a malformed frame in this chunk would end the process.
      if (webSocket.listenerCount('error', onError) === 0) webSocket.on('error', onError)
      // We hear a chunk before `ws` does. If the WebSocket is closing already, the app went first.
      if (appIsClosing(connection)) connection.noteEnd().serverWentFirst = true
      noteControlFrames(connection, chunk)
    }
    // The app ended the socket below the WebSocket: our FIN goes before the peer's, and no close frame has come.
    this.#onFinish = function (this: Socket) {
      const connection = carried(sink, this)
      if (connection === undefined || this.readableEnded) return
      if (closeFrameFrom(webSocketOf(connection)) === undefined) connection.noteEnd().serverWentFirst = true
    }
  }

  /** Follows a WebSocket from here on. Twice is once. */
  adopt(webSocket: unknown): PeerConnection | undefined {
    if (!isWebSocket(webSocket)) return undefined
    const socket = socketBelow(webSocket)
    // A Duplex that is no socket counts no bytes: whatever we said of its traffic would be wrong. It is not watched.
    if (!(socket instanceof Socket) || socket.destroyed) return undefined
    const known = carried(this.#sink, socket)
    if (known?.webSocket === webSocket) return known
    const connection = known ?? this.#sink.adopt(socket)
    connection.webSocket = webSocket
    connection.become(websocket)
    this.#onAdopted(socket)
    socket.prependListener('data', this.#onData)
    socket.on('finish', this.#onFinish)
    webSocket.on('error', this.#onError as never)
    for (const guard of this.#guards) guard.put(webSocket)
    return connection
  }

  /** For what a WebSocketServer hands out: it must be a WebSocket, unless a library of its own emits `'connection'` with something else. */
  adoptOrWarn(webSocket: unknown): void {
    if (isWebSocket(webSocket) && socketBelow(webSocket) === undefined) this.#sink.unknownWebSocket()
    else this.adopt(webSocket)
  }

  release(connection: PeerConnection): void {
    const webSocket = connection.webSocket as WebSocketLike | undefined
    if (webSocket === undefined) return
    connection.socket.removeListener('data', this.#onData)
    connection.socket.removeListener('finish', this.#onFinish)
    webSocket.removeListener('error', this.#onError as never)
    for (const guard of this.#guards) guard.takeOff(webSocket)
  }
}

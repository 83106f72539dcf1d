import type { Server } from 'node:http'
import type { Socket } from 'node:net'
import { beginsControlFrame, controlBytesAfterFirst } from './control-frames.js'

/**
 * The one file that knows what `ws` (7 and 8) does not document: the `Symbol(websocket)` it leaves on the socket, the
 * WebSocket's socket, its close frame, and a WebSocketServer's http server. Everything is tested by shape; where the
 * shape differs, the answer is `undefined` and the socket is watched as `upgraded`.
 */

/** The documented part of a WebSocket that we use. */
export interface WebSocketLike {
  readonly readyState: number
  readonly bufferedAmount: number
  readonly isPaused?: boolean
  ping(data?: unknown): void
  close(code?: number, reason?: string): void
  terminate(): void
  send(data: unknown, options: { binary?: boolean }): void
  on(event: string, listener: (...args: never[]) => void): unknown
  listeners(event: string): ((...args: unknown[]) => void)[]
  /** With `listener`: how often that one is there. */
  listenerCount(event: string, listener?: unknown): number
  removeListener(event: string, listener: (...args: never[]) => void): unknown
}

/** Whether somebody keeps book of its pongs, as the README of `ws` says and crossws does. A listener alone may only want to know. */
export function isKeptAlive(webSocket: WebSocketLike): boolean {
  const { isAlive, _isAlive } = webSocket as { isAlive?: unknown; _isAlive?: unknown }
  return typeof (isAlive ?? _isAlive) === 'boolean' && webSocket.listenerCount('pong') > 0
}

/** `WebSocket.OPEN`. */
export const OPEN = 1

interface Internals {
  _socket?: Socket | null
  _isServer?: boolean
  _receiver?: Receiver
  _pendingAutoPongs?: number
  _maxPendingAutoPongs?: number
  _closeFrameReceived?: boolean
  _closeTimer?: unknown
  _closeCode?: number
  _closeMessage?: Buffer | string
}

/** How far `ws` has read. Its states: between frames, or within a frame's first two bytes, 0; at the mask, 3; at the payload, 4. */
interface Receiver {
  readonly _state?: number
  readonly _bufferedBytes?: number
  readonly _buffers?: readonly Buffer[]
  readonly _opcode?: number
  readonly _payloadLength?: number
  readonly writableLength?: number
}

/** A process may hold several copies of `ws`, each with a symbol of its own; the last that was found is tried first. */
let lastSymbol: symbol | undefined

/** The WebSocket on a socket, from the moment `ws` ties them. */
export function webSocketOn(socket: Socket): WebSocketLike | undefined {
  const carrier = socket as unknown as Record<symbol, unknown>
  if (lastSymbol === undefined || carrier[lastSymbol] === undefined) {
    const symbol = Object.getOwnPropertySymbols(socket).find(
      (s) => s.description === 'websocket' && carrier[s] !== undefined,
    )
    if (symbol === undefined) return undefined
    lastSymbol = symbol
  }
  const candidate = carrier[lastSymbol]
  return isWebSocket(candidate) && (candidate as Internals)._socket === socket ? candidate : undefined
}

export function isWebSocket(value: unknown): value is WebSocketLike {
  const ws = value as Partial<WebSocketLike> | null | undefined
  return (
    typeof ws === 'object' &&
    ws !== null &&
    typeof ws.readyState === 'number' &&
    typeof ws.bufferedAmount === 'number' &&
    typeof ws.ping === 'function' &&
    typeof ws.close === 'function' &&
    typeof ws.terminate === 'function' &&
    typeof ws.on === 'function'
  )
}

/** The socket below a WebSocket. */
export function socketBelow(webSocket: object): Socket | undefined {
  const socket = (webSocket as Internals)._socket
  return typeof socket?.on === 'function' && typeof socket.destroy === 'function' ? socket : undefined
}

/** The peer's close frame, once it has come. */
export function closeFrameFrom(webSocket: object): { code: number | undefined; reason: string } | undefined {
  const { _closeFrameReceived, _closeCode, _closeMessage } = webSocket as Internals
  return _closeFrameReceived === true ? { code: _closeCode, reason: String(_closeMessage ?? '') } : undefined
}

/** Whether it is the client's end, which masks what it sends: an app may hand a WebSocket that it opened to its server. */
export function mustMask(webSocket: object): boolean {
  return (webSocket as Internals)._isServer === false
}

/** Whether so many pings at once are more than a late `ws` 8 answers. It then terminates, and says nothing. */
export function endsForPings(webSocket: object, pings: number): boolean {
  const { _pendingAutoPongs = 0, _maxPendingAutoPongs = 0 } = webSocket as Internals
  return _maxPendingAutoPongs > 0 && _pendingAutoPongs + pings > _maxPendingAutoPongs
}

const maskState = 3
const payloadState = 4
const maskBytes = 4

/**
 * How many bytes at the start of a chunk, which `ws` has not seen yet, belong to a ping or pong that began before it.
 * `undefined`: the chunk begins within another frame, or `ws` is behind and it cannot be said.
 */
export function controlBytesDue(webSocket: object, chunk: Buffer): number | undefined {
  const receiver = (webSocket as Internals)._receiver
  if (receiver?._state === undefined || receiver._bufferedBytes === undefined) return 0
  const { _state, _bufferedBytes, _opcode = 0, _payloadLength = 0, writableLength = 0 } = receiver
  if (writableLength > 0) return undefined
  if (_state === 0) {
    if (_bufferedBytes === 0) return 0
    // Its first byte alone came before: the second one says how long it is.
    const first = receiver._buffers?.[0]
    if (first === undefined || !beginsControlFrame(first, 0)) return undefined
    return controlBytesAfterFirst(chunk)
  }
  if (_opcode !== 9 && _opcode !== 10) return undefined
  if (_state === maskState) return maskBytes + _payloadLength - _bufferedBytes
  return _state === payloadState ? _payloadLength - _bufferedBytes : undefined
}

/** Whether our side began the close handshake: `close()` was called, and not in answer to the peer's close frame. */
export function closedHere(webSocket: object): boolean {
  const { _closeTimer, _closeFrameReceived } = webSocket as Internals
  return _closeTimer !== undefined && _closeTimer !== null && _closeFrameReceived !== true
}

/** The http server a WebSocketServer sits on: the one it was given (documented), or its own (not documented). */
export function httpServerBelow(wss: { options: object }): Server | undefined {
  const given = (wss.options as { server?: Server }).server
  const own = (wss as { _server?: Server | null })._server
  return given ?? own ?? undefined
}

/** How `createWebSocketStream` destroys its stream when the WebSocket fails, minified too. */
const destroysStream = /\.destroyed\b[\s\S]*\.destroy\(/

/**
 * Destroys the streams that `createWebSocketStream` has made of a WebSocket. Nothing leads from one to the other but that
 * listener; called without an error, it emits none.
 */
export function closeStreams(webSocket: object): void {
  for (const listener of (webSocket as Partial<WebSocketLike>).listeners?.('error') ?? []) {
    if (!destroysStream.test(Function.prototype.toString.call(listener))) continue
    try {
      listener.call(webSocket)
    } catch {
      // It was the app's own, and wants an error.
    }
  }
}

import type { Server } from 'node:http'
import type { Socket } from 'node:net'

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
  pause?(): void
  resume?(): void
  ping(data?: unknown): void
  close(code?: number, reason?: string): void
  terminate(): void
  send(data: unknown, options: { binary?: boolean }): void
  listenerCount(event: string): number
  on(event: string, listener: (...args: never[]) => void): unknown
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
  _pendingAutoPongs?: number
  _maxPendingAutoPongs?: number
  _closeFrameReceived?: boolean
  _closeTimer?: unknown
  _closeCode?: number
  _closeMessage?: Buffer | string
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

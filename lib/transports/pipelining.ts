import { AsyncResource } from 'node:async_hooks'
import type { ServerResponse } from 'node:http'
import type { PeerConnection } from '../core/connection.js'
import type { HttpExchange } from '../core/http-exchange.js'
import { goOnReading, hasLostPeer, holdReading } from './socket.js'

/** Requests of one peer that run at a time. nginx and Go run one; Node runs all that came in one read: thousands. */
const mostAtOnce = 64
/** What may wait in the responses before the next request is run. */
const mostBytes = 256 * 1024

/** Whether a request that was pipelined has to wait for those before it. */
export function mustWait(exchange: HttpExchange, response: ServerResponse): boolean {
  return exchange.waiting !== undefined || isFull(exchange, response)
}

function isFull(exchange: HttpExchange, response: ServerResponse): boolean {
  if (response.socket !== null || exchange.current() === undefined) return false
  const { queuedResponses = [] } = exchange
  if (queuedResponses.length + 1 >= mostAtOnce) return true
  let bytes = exchange.response?.writableLength ?? 0
  for (const { writableLength } of queuedResponses) bytes += writableLength
  return bytes >= mostBytes
}

/**
 * Has a request wait, and all that come behind it. The socket is not read meanwhile. `run`, called in the async context
 * of now, hands it to the app.
 */
export function wait(exchange: HttpExchange, response: ServerResponse, run: () => void): void {
  // `AsyncResource.bind` would cost ten times as much.
  const context = new AsyncResource('peerpulse')
  const entry = { response, run: () => context.runInAsyncScope(run) }
  if (exchange.waiting !== undefined) {
    exchange.waiting.push(entry)
    return
  }
  holdReading(response.req.socket)
  exchange.waiting = [entry]
  goOnAfter(exchange)
}

/** Once the last of those that run is answered, more may. */
function goOnAfter(exchange: HttpExchange): void {
  exchange.newest?.once('close', () => {
    try {
      do runNext(exchange)
      while (exchange.waiting?.[0] !== undefined && !isFull(exchange, exchange.waiting[0].response))
    } finally {
      // The app's handler may throw, which is its affair; those behind are served all the same.
      if (exchange.waiting !== undefined) goOnAfter(exchange)
    }
  })
}

/** None waits any more once the last of them runs: that one may be told that it is the last. */
function runNext(exchange: HttpExchange): void {
  const next = exchange.waiting?.shift()
  const isLast = exchange.waiting?.length === 0
  if (isLast) exchange.waiting = undefined
  try {
    next?.run()
  } finally {
    if (next !== undefined && isLast) goOnAfterRunning(next.response)
  }
}

/**
 * The next requests may be read. Over TLS not before the last is answered: Node's parser is paused while responses wait for
 * the peer, its TLS socket hands on what else it has decrypted, and that is an error (HPE_PAUSED). A body is read at once.
 * Else what the app answers in a turn of the event loop goes first: at the peer's FIN, Node drops what is not answered.
 */
function goOnAfterRunning(response: ServerResponse): void {
  const { socket, complete } = response.req
  if (!complete) goOnReading(socket)
  else if ((socket as { encrypted?: boolean }).encrypted === true && !response.closed)
    response.once('close', () => goOnReading(socket))
  else setImmediate(goOnReading, socket)
}

/** What Node makes of a reset that it reads. */
class ResetError extends Error {
  readonly code = 'ECONNRESET'
  readonly syscall = 'read'
}

/** While requests wait nothing is read, a reset neither: it is asked for. */
export function lookForReset({ exchange, socket }: PeerConnection): void {
  if (exchange?.waiting !== undefined && !socket.destroyed && hasLostPeer(socket) === true)
    socket.destroy(new ResetError('read ECONNRESET'))
}

/** Nobody watches any more: what waits is the app's at once, as without us. */
export function releaseWaiting(exchange: HttpExchange | undefined): void {
  while (exchange?.waiting !== undefined) {
    try {
      runNext(exchange)
    } catch (error) {
      // It is the app's, and nobody's to catch.
      process.nextTick(() => {
        throw error
      })
    }
  }
}

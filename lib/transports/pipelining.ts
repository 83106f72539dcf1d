import { AsyncResource } from 'node:async_hooks'
import type { ServerResponse } from 'node:http'
import type { HttpExchange } from '../core/http-exchange.js'
import { goOnReading, stopReading } from './socket.js'

/** Requests of one peer that run at a time. nginx and Go run one; Node runs all that came in one read: thousands. */
const mostAtOnce = 64
/** What may wait in the responses before the next request is run. */
const mostBytes = 256 * 1024

/** Whether a request that was pipelined has to wait for those before it. */
export function mustWait(exchange: HttpExchange, response: ServerResponse): boolean {
  if (exchange.waiting !== undefined) return true
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
  stopReading(response.req.socket)
  if (exchange.waiting !== undefined) {
    exchange.waiting.push(entry)
    return
  }
  exchange.waiting = [entry]
  goOnAfter(exchange)
}

/** Once the last of those that run is answered, more may. */
function goOnAfter(exchange: HttpExchange): void {
  exchange.newest?.once('close', () => {
    const { waiting } = exchange
    if (waiting === undefined) return
    exchange.waiting = undefined
    let next = waiting.shift()
    const socket = next?.response.req.socket
    try {
      for (; next !== undefined; next = waiting.shift()) {
        next.run()
        if (waiting[0] !== undefined && mustWait(exchange, waiting[0].response)) break
      }
    } finally {
      // The app's handler may throw, which is its affair; those behind are served all the same.
      if (waiting.length > 0) {
        exchange.waiting = waiting
        goOnAfter(exchange)
      } else if (socket !== undefined) goOnReading(socket)
    }
  })
}

/** Nobody watches any more: what waits is the app's at once, as without us. */
export function releaseWaiting(exchange: HttpExchange | undefined): void {
  const waiting = exchange?.waiting
  if (exchange === undefined || waiting === undefined) return
  exchange.waiting = undefined
  for (const { run } of waiting) run()
  if (waiting[0] !== undefined) goOnReading(waiting[0].response.req.socket)
}

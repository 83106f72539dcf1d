import type { Socket } from 'node:net'
import { endWhenSilent } from '../core/clock.js'
import type { PeerConnection } from '../core/connection.js'

/** Connections whose last response is known, by their sockets; each pulse has one of its own. */
const retired = new WeakMap<Socket, PeerConnection[]>()
/** The app's own `destroySoon` of a socket, behind ours. */
const appsOwn = new WeakMap<Socket, () => void>()

/**
 * The newest of the responses in flight ends the connection. Too late once its headers are sent; then the next one's
 * turn is it. The header is left to Node, which writes `Connection: close` by itself: one that is set here would have
 * Node 20 merge what the app hands to `writeHead` as a list, and lose what comes twice.
 */
export function makeLast(connection: PeerConnection): void {
  const { exchange, socket } = connection
  exchange?.current()
  const response = exchange?.newest
  if (exchange === undefined || response === undefined || response.headersSent) return
  // Of requests that wait, the last is told when it runs.
  if (response === exchange.last || exchange.waiting !== undefined) return
  // Another request was pipelined behind the one that was to be the last: it shall have its answer too.
  if (exchange.last !== undefined && !exchange.last.headersSent && exchange.lastByUs)
    exchange.last.shouldKeepAlive = true
  exchange.last = response
  exchange.lastByUs = response.shouldKeepAlive
  response.shouldKeepAlive = false
  const known = retired.get(socket)
  if (known === undefined) {
    retired.set(socket, [connection])
    if (Object.hasOwn(socket, 'destroySoon') && socket.destroySoon !== endAfterLast)
      appsOwn.set(socket, socket.destroySoon)
    socket.destroySoon = endAfterLast
  } else if (!known.includes(connection)) known.push(connection)
}

/** Whether a response that says so has ended the connection for requests: one that comes now is nobody's. */
export function isPastLast({ state, exchange }: PeerConnection): boolean {
  if (state === 'closing') return true
  const last = exchange?.last
  // An app that says `Connection: keep-alive` itself has the last word, and Node notes it there.
  return last?.headersSent === true && !last.shouldKeepAlive && exchange?.lastByUs === true
}

/** Gives Node's method back, or the app's, once no pulse needs ours. */
export function forgetLast(connection: PeerConnection): void {
  const { socket } = connection
  const known = retired.get(socket)
  if (known === undefined) return
  const others = known.filter((other) => other !== connection)
  if (others.length > 0) {
    retired.set(socket, others)
    return
  }
  retired.delete(socket)
  // A body that is still read has nobody left to end it: Node's own timer does, once nothing comes any more.
  if (connection.endNotes?.lingering !== undefined && !socket.destroyed)
    endWhenSilent(socket, connection.host.closeTimeoutMs)
  if (socket.destroySoon !== endAfterLast) return
  const own = appsOwn.get(socket)
  if (own !== undefined) socket.destroySoon = own
  else delete (socket as { destroySoon?: unknown }).destroySoon
}

/**
 * In place of `socket.destroySoon`, which Node calls when the last response is written. It closes the socket, and if the
 * request's body is still arriving, the kernel answers that with a reset: the peer then loses the response.
 */
function endAfterLast(this: Socket): void {
  for (const connection of (!this.destroyed && retired.get(this)) || []) {
    const request = connection.exchange?.last?.req
    if (request === undefined || request.complete) continue
    connection.linger(request)
    return
  }
  const own = appsOwn.get(this)
  // The app's may be around ours of an earlier time, and call it.
  appsOwn.delete(this)
  ;(own ?? Object.getPrototypeOf(this).destroySoon).call(this)
}

import type { Server } from 'node:http'
import type { Socket } from 'node:net'
import type { PeerConnection } from '../core/connection.js'

/**
 * The one file that knows Node's list of HTTP parsers, which `server.closeIdleConnections()` asks. Nothing else tells
 * that half of a request has arrived. Where a version of Node has no such list, a pooled connection counts as idle.
 */
interface Parsers {
  active?(): Iterable<{ readonly socket?: Socket | null } | null>
}

/** A message of which nothing has come for so long holds nobody up. */
const silenceMs = 5_000

/** The sockets of a server whose parser is within a message, as of one tick: making the list takes a look at all of them. */
interface Arriving {
  readonly at: number
  readonly host: object
  readonly sockets: WeakSet<object>
}
const arriving = new WeakMap<Server, Arriving>()
let listSymbol: symbol | undefined

/** Whether a part of a request has arrived: some of its headers, or its body behind an early answer. */
export function isReceiving(connection: PeerConnection): boolean {
  const { socket, exchange, host } = connection
  const { server } = socket as { server?: Server | null }
  // Of a new connection Node says so from the start.
  if (server == null || (exchange?.requestSeen !== true && socket.bytesRead === 0)) return false
  const { now } = host.clock
  // What was known may be older than what has come since.
  connection.sample()
  if (now - connection.inboundActive >= silenceMs) return false
  let known = arriving.get(server)
  if (known?.at !== now || known.host !== host) {
    const sockets = new WeakSet<object>()
    for (const parser of parsersOf(server)) if (parser?.socket) sockets.add(parser.socket)
    known = { at: now, host, sockets }
    arriving.set(server, known)
  }
  return known.sockets.has(socket)
}

function parsersOf(server: Server): ReturnType<NonNullable<Parsers['active']>> {
  listSymbol ??= Object.getOwnPropertySymbols(server).find(
    ({ description }) => description === 'http.server.connections',
  )
  const list = listSymbol && (server as unknown as Record<symbol, Parsers | undefined>)[listSymbol]
  return list?.active?.() ?? []
}

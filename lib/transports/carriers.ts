import type { PeerConnection } from '../core/connection.js'
import { carried } from '../core/sink.js'
import { socketBelow } from './ws-internals.js'

/** The connection of a request, response, socket or WebSocket. */
export function connectionOf(sink: { readonly key: symbol }, carrier: object): PeerConnection | undefined {
  // A response lets go of its socket when it is finished; its request does not.
  const { socket, req } = carrier as { socket?: object | null; req?: { socket?: object | null } }
  const below = socket ?? req?.socket ?? socketBelow(carrier)
  return (
    carried(sink, carrier) ?? (typeof below === 'object' && below !== null ? carried(sink, below) : undefined)
  )
}

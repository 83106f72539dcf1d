import type { BroadcastResult } from '../../types/peerpulse.js'
import type { PeerConnection } from '../core/connection.js'
import { isWebSocket, OPEN } from './ws-internals.js'

/** Sends to every open client of a WebSocketServer, and treats the congested as asked. */
export function broadcast(
  clients: Iterable<unknown>,
  data: unknown,
  congested: 'skip' | 'close' | 'send',
  connectionOf: (webSocket: object) => PeerConnection | undefined,
  highWaterBytes: number,
): BroadcastResult {
  const result: BroadcastResult = { sent: 0, skipped: 0, closed: 0 }
  for (const client of clients) {
    if (!isWebSocket(client) || client.readyState !== OPEN) continue
    const connection = connectionOf(client)
    // The mark is set once a tick; a producer that sends more often than that is looked at here.
    const isCongested = connection?.congested === true || client.bufferedAmount > highWaterBytes
    if (isCongested && congested === 'skip') result.skipped++
    else if (isCongested && congested === 'close' && connection !== undefined) {
      connection.close('slow-consumer')
      result.closed++
    } else {
      client.send(data)
      result.sent++
    }
  }
  return result
}

import type { BroadcastData, BroadcastOptions, BroadcastResult } from '../../types/peerpulse.js'
import type { PeerConnection } from '../core/connection.js'
import { PeerpulseError } from '../core/errors.js'
import { isWebSocket, OPEN } from './ws-internals.js'

interface BroadcastHost {
  readonly dryRun: boolean
  readonly highWaterBytes: number
  connectionOf(webSocket: object): PeerConnection | undefined
}

/** Sends to every open client of a WebSocketServer, and treats the congested as asked. */
export function broadcast(
  wss: object,
  data: BroadcastData,
  options: BroadcastOptions,
  host: BroadcastHost,
): BroadcastResult {
  const { congested: asked = 'skip', binary } = options
  // A message that came in fragments, with `binaryType` so, is a list.
  const message = Array.isArray(data) ? Buffer.concat(data) : data
  if (typeof message !== 'string' && !(message instanceof ArrayBuffer) && !ArrayBuffer.isView(message)) {
    throw invalid(`the data must be a text, a Buffer, an ArrayBuffer or a view of one, not ${typeof data}`)
  }
  const { clients } = wss as { clients?: Iterable<unknown> }
  if (!['skip', 'close', 'send'].includes(asked)) {
    throw invalid(`congested must be 'skip', 'close' or 'send', not '${String(asked)}'`)
  }
  if (clients === undefined) {
    throw invalid('this WebSocketServer has no clients; make it with clientTracking: true, the default of ws')
  }
  // A dry run spares nobody and ends nobody.
  const congested = host.dryRun ? 'send' : asked
  const result: BroadcastResult = { sent: 0, skipped: 0, closed: 0 }
  for (const client of clients) {
    if (!isWebSocket(client) || client.readyState !== OPEN) continue
    const connection = host.connectionOf(client)
    // The mark is set once a tick; a producer that sends more often than that is looked at here.
    const isCongested = connection?.congested === true || client.bufferedAmount > host.highWaterBytes
    if (isCongested && congested === 'skip') result.skipped++
    else if (isCongested && congested === 'close' && connection !== undefined) {
      connection.noteEnd().errorMessage ??= `congested at a broadcast: ${client.bufferedAmount} bytes wait for the peer`
      connection.close('slow-consumer')
      result.closed++
    } else {
      client.send(message, binary === undefined ? {} : { binary })
      result.sent++
    }
  }
  return result
}

function invalid(message: string): PeerpulseError {
  return new PeerpulseError('PEERPULSE_ERR_INVALID_ARGUMENT', `broadcast: ${message}`)
}

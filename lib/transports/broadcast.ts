import type { BroadcastData, BroadcastOptions, BroadcastResult } from '../../types/peerpulse.js'
import type { PeerConnection } from '../core/connection.js'
import { describe } from '../core/describe.js'
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
  if (typeof options !== 'object' || options === null)
    throw invalid(`the options must be an object, not ${describe(options)}`)
  const { congested: asked = 'skip', binary, ...others } = options
  const [unknown] = Object.keys(others)
  if (unknown !== undefined) throw invalid(`unknown option '${unknown}'; there are congested and binary`)
  if (!['skip', 'close', 'send'].includes(asked))
    throw invalid(`congested must be 'skip', 'close' or 'send', not ${describe(asked)}`)
  if (binary !== undefined && typeof binary !== 'boolean')
    throw invalid(`binary must be true or false, not ${describe(binary)}`)
  const message = messageOf(data)
  const clients = clientsOf(wss)
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

/** A message that came in fragments, with `binaryType` so, is a list. */
function messageOf(data: unknown): string | ArrayBuffer | ArrayBufferView {
  if (Array.isArray(data) && data.every((part) => part instanceof Uint8Array)) return Buffer.concat(data)
  if (typeof data === 'string' || data instanceof ArrayBuffer || ArrayBuffer.isView(data)) return data
  throw invalid(
    `the data must be a text, a Buffer, an ArrayBuffer, a view of one or a list of Buffers, not ${describe(data)}`,
  )
}

function clientsOf(wss: unknown): Iterable<unknown> {
  const { clients } = (wss ?? {}) as { clients?: Partial<Iterable<unknown>> }
  if (typeof clients?.[Symbol.iterator] === 'function') return clients as Iterable<unknown>
  const isServer = typeof wss === 'object' && wss !== null && 'handleUpgrade' in wss
  throw invalid(
    isServer
      ? 'this WebSocketServer has no clients; make it with clientTracking: true, the default of ws'
      : `expected a WebSocketServer, not ${describe(wss)}`,
  )
}

function invalid(message: string): PeerpulseError {
  return new PeerpulseError('PEERPULSE_ERR_INVALID_ARGUMENT', `broadcast: ${message}`)
}

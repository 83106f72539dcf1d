import { ServerResponse } from 'node:http'
import type { PeerConnection } from '../core/connection.js'
import { outside } from '../core/outside.js'
import { closePacket, isPoll } from './engine-io.js'
import { makeLast } from './last-response.js'
import { endResponse } from './late-write.js'
import { refuseRequest } from './refusal.js'

/** What an answer of ours in the place of the app's does not take over from it: they describe its body. */
const ofTheBody = /^(?:content-|transfer-|etag|last-modified|trailer)/

/**
 * Ends a response that only waits, a long poll for one. Its app may answer it at any time later, so it gets the end that
 * a client which goes away gives it: `'close'`, and whatever it still writes is dropped. The peer gets an answer of ours.
 */
export function endWaiting(connection: PeerConnection): void {
  const { exchange, socket, host } = connection
  const response = exchange?.current()
  const isAlone = exchange?.queuedResponses?.length === undefined || exchange.queuedResponses.length === 0
  if (response === undefined || response.socket !== socket || !isAlone || exchange?.waiting !== undefined) {
    makeLast(connection)
  } else if (response.headersSent) endBegun(response)
  else {
    const answer = takeOver(response, connection)
    if (isPoll(answer.req)) {
      answer.writeHead(200, {
        'Content-Type': 'text/plain; charset=UTF-8',
        'Content-Length': closePacket.length,
      })
      answer.end(closePacket)
    } else {
      const retryAfterS = Math.ceil(host.reconnect.pickMs() / 1000)
      refuseRequest(answer, {
        status: 503,
        reason: 'drain',
        detail: 'the server is shutting down',
        retryAfterS,
      })
    }
    connection.endIfDrained()
  }
}

/** One of a known length would be cut. */
function endBegun(response: ServerResponse): void {
  if (/\r\ncontent-length:/i.test((response as { _header?: string })._header ?? '')) return
  endResponse(response)
}

/** A response of ours in the place of the app's. */
function takeOver(response: ServerResponse, { exchange, socket }: PeerConnection): ServerResponse {
  const answer = new ServerResponse(response.req)
  // A browser reads no answer without the headers of its origin, which the app has set.
  for (const name of response.getHeaderNames())
    if (!ofTheBody.test(name)) answer.setHeader(name, response.getHeader(name) as string | string[])
  answer.shouldKeepAlive = false
  response.detachSocket(socket)
  // Node's own listener would have the socket answer the next request.
  const ofNode = response.listeners('finish').find(({ name }) => name === 'bound resOnFinish')
  if (ofNode !== undefined) response.removeListener('finish', ofNode as () => void)
  const seen = response as { socket: unknown; destroyed: boolean; _closed?: boolean }
  // A peer that leaves does not take the socket off its response either.
  seen.socket = socket
  seen.destroyed = true
  exchange?.dropResponses()
  outside(() =>
    process.nextTick(() => {
      seen._closed = true
      response.emit('close')
    }),
  )
  answer.assignSocket(socket)
  return answer
}

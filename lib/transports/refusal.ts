import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { PeerConnection } from '../core/connection.js'
import type { Refusal } from '../core/refusal.js'

const statusText = { 503: 'Service Unavailable', 429: 'Too Many Requests' } as const

/** The header that says why work was refused, in a word. Which monitor or limit it was is the operator's to know: in the `shed` event. */
export const reasonHeader = 'Peerpulse-Reason'

/** For a person with curl. */
const body = ({ reason, retryAfterS }: Refusal) => `${reason}, retry after ${retryAfterS} s\n`

/** Answers a request in the app's place. */
export function refuseRequest(res: ServerResponse, refusal: Refusal): void {
  if (res.headersSent) return
  const text = body(refusal)
  res.writeHead(refusal.status, {
    'Retry-After': String(refusal.retryAfterS),
    [reasonHeader]: refusal.reason,
    'Cache-Control': 'no-store',
    'Content-Type': 'text/plain; charset=utf-8',
    'Content-Length': String(Buffer.byteLength(text)),
  })
  res.end(res.req.method === 'HEAD' ? undefined : text)
}

/** Answers an upgrade in the app's place. The socket is ours to end: Node has let go of it. */
export function refuseUpgrade(connection: PeerConnection, refusal: Refusal): void {
  const socket: Socket = connection.socket
  const text = body(refusal)
  connection.noteEnd().errorMessage ??= refusal.detail
  connection.settle(refusal.reason)
  socket.write(
    `HTTP/1.1 ${refusal.status} ${statusText[refusal.status]}\r\nConnection: close\r\nRetry-After: ${refusal.retryAfterS}\r\n` +
      `${reasonHeader}: ${refusal.reason}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: ${Buffer.byteLength(text)}\r\n\r\n${text}`,
  )
  // Whatever the peer still sends is read and dropped, so that its FIN is seen.
  socket.resume()
  connection.close(refusal.reason)
}

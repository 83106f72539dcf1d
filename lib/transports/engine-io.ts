import type { IncomingMessage } from 'node:http'

/** Engine.IO's packet `close` (protocol 4): its client takes the transport for closed, and comes back. */
export const closePacket = '1'

/**
 * Whether a request is a poll of Engine.IO's, and so of Socket.IO's: it waits for a message, or for `pingInterval`.
 * Older protocols and JSONP wrap their packets, and are not told by one.
 */
export function isPoll({ method, url = '' }: IncomingMessage): boolean {
  if (method !== 'GET' || !url.includes('transport=polling')) return false
  const query = new URLSearchParams(url.slice(url.indexOf('?') + 1))
  return (
    query.get('EIO') === '4' &&
    query.get('transport') === 'polling' &&
    (query.get('sid') ?? '') !== '' &&
    !query.has('j')
  )
}

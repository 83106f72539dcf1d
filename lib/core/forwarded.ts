import type { IncomingMessage } from 'node:http'
import { hear } from './callbacks.js'
import { describe } from './describe.js'
import { isOnUnixSocket, plainAddress, unknownAddress, writtenAddress } from './peer-address.js'

/** Whether an address, so many hops away, is a proxy of ours. */
type Trust = (address: string, hop: number) => boolean

/** Who is at the other end of a unix socket is on this machine. */
const thisMachine = '127.0.0.1'

/** No chain of proxies is so long; a header has room for thousands. */
const mostHops = 100

/**
 * The address behind the trusted proxies, found as `proxy-addr` does, but for what real proxies write into the header.
 * `undefined` where the socket is gone and says nothing. The trust function may be the app's, and throw.
 */
export function forwardedAddress(req: IncomingMessage, trust: Trust): string | undefined {
  const { socket } = req
  let address = isOnUnixSocket(socket) ? thisMachine : socket.remoteAddress
  if (address === undefined) return undefined
  let named = plainAddress(socket.remoteAddress)
  const header = req.headers['x-forwarded-for'] as string | undefined
  let end = header?.length ?? 0
  for (let hop = 0; isTrusted(trust, address, hop); hop++) {
    if (hop === mostHops) return unknownAddress
    let entry = ''
    // From the last to the first: those that a peer made up come first.
    while (header !== undefined && entry === '' && end > 0) {
      const comma = header.lastIndexOf(',', end - 1)
      entry = header.slice(comma + 1, end).trim()
      end = comma
    }
    // A proxy that names nobody passes on whoever comes; without the header it speaks for itself.
    if (entry === '') return hop === 0 && header !== undefined ? unknownAddress : named
    named = writtenAddress(entry) ?? unknownAddress
    address = named === unknownAddress ? entry : named
  }
  return named
}

function isTrusted(trust: Trust, address: string, hop: number): boolean {
  const answer: unknown = trust(address, hop)
  if (typeof answer === 'boolean') return answer
  // Made async by mistake: a promise is no yes, and its rejection is nobody's.
  const isPromise = hear(answer, () => {})
  throw new TypeError(`it must return true or false, not ${isPromise ? 'a promise' : describe(answer)}`)
}

import type { PeerConnection } from '../core/connection.js'

/** Long-lived ones, and responses that only wait: they are told one after the other. */
export function endsInTurn(connection: PeerConnection): boolean {
  const { protocol, phase, onDrain, transport } = connection
  if (phase === 'upgrade' || onDrain === 'finish') return false
  return protocol !== 'http1' || transport.isBusy(connection)
}

/** In random order: those that came together shall not go together. */
export function takeAny<T>(list: T[]): T {
  const i = Math.floor(Math.random() * list.length)
  const taken = list[i] as T
  list[i] = list.at(-1) as T
  list.pop()
  return taken
}

/** HTTP connections end with their next response: the peer's next request goes to another server, and none is cut off. */
export function retire(connection: PeerConnection): void {
  if (connection.protocol === 'http1') connection.retire('drain')
}

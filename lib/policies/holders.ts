import type { MemoryHolder } from '../../types/events.js'
import type { PeerConnection } from '../core/connection.js'

/** What an operator can take in at a glance. */
const most = 5
const MiB = 1024 * 1024

/** Those that hold most of what waits to be sent, heaviest first. */
export function topHolders(connections: readonly PeerConnection[]): MemoryHolder[] {
  return connections
    .filter(({ bufferedSample }) => bufferedSample > 0)
    .sort((a, b) => b.bufferedSample - a.bufferedSample)
    .slice(0, most)
    .map(({ id, remoteAddress, protocol, bufferedSample, host, opened }) => ({
      id,
      remoteAddress,
      protocol,
      bufferedBytes: bufferedSample,
      ageMs: host.clock.now - opened,
    }))
}

/** The same in words. */
export function describeHolders(holders: readonly MemoryHolder[]): string {
  if (holders.length === 0) return 'no connection has outbound bytes waiting'
  const words = holders.map(
    ({ id, remoteAddress, protocol, bufferedBytes, ageMs }) =>
      `connection ${id} (${protocol}, ${remoteAddress}) ${inMiB(bufferedBytes)}, open for ${Math.round(ageMs / 1000)} s`,
  )
  return `most outbound bytes: ${words.join('; ')}`
}

/** Bytes as a person reads them. */
export function inMiB(bytes: number): string {
  return `${(bytes / MiB).toFixed(1)} MiB`
}

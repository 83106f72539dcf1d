import type { Socket } from 'node:net'
import type { TestContext } from 'node:test'
import { type WebSocket, WebSocketServer } from 'ws'
import type { PeerConnection } from '../../lib/core/connection.js'
import { type Peerpulse, type PeerpulseOptions, peerpulse } from '../../lib/index.js'
import { type RawPeer, upgradeRaw } from '../support/raw-peer.js'
import { type Scope, startServer, type TestServer } from '../support/servers.js'
import { until } from '../support/wait.js'

export interface WatchedServer extends TestServer {
  readonly pulse: Peerpulse
  readonly wss: WebSocketServer
}

/** An http server with WebSockets, and a pulse on both. */
export async function startWatched(t: TestContext, options: PeerpulseOptions = {}): Promise<WatchedServer> {
  const pulse = peerpulse({ drain: false, ...options })
  t.after(() => pulse.detach())
  const served = await startServer(t, (_, res) => void res.end('hello'))
  const wss = new WebSocketServer({ server: served.server })
  pulse.attach(served.server, wss)
  return { ...served, pulse, wss }
}

/** Handshakes under way at a time. */
const concurrency = 50

/** WebSocket peers that say nothing by themselves. */
export async function openPeers(scope: Scope, port: number, count: number): Promise<RawPeer[]> {
  const peers: RawPeer[] = []
  while (peers.length < count) {
    const some = Array.from({ length: Math.min(concurrency, count - peers.length) }, () =>
      upgradeRaw(scope, port),
    )
    peers.push(...(await Promise.all(some)))
  }
  return peers
}

export const connectionsOf = (pulse: Peerpulse) => [...pulse.connections()] as PeerConnection[]

export const socketOf = (webSocket: WebSocket) => (webSocket as unknown as { _socket: Socket })._socket

export function webSocketsOpen(wss: WebSocketServer, count: number): Promise<unknown> {
  return until(() => wss.clients.size === count, `${count} WebSockets`)
}

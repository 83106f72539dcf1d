import type { EventEmitter } from 'node:events'
import type { Server } from 'node:http'
import type { Duplex } from 'node:stream'
import type { CloseReason, ConnectionPhase, Protocol } from 'peerpulse'
import type { WebSocketServer } from 'ws'
import type { RawPeer } from '../../support/raw-peer.js'

/** The app's side of one connection. */
export interface Side {
  /** What the app has in hand: socket, request, response, WebSocket. Each names its connection. */
  readonly carriers: readonly EventEmitter[]
  readonly socket: Duplex
  /** Sends text. */
  write(text: string): void
  /** How much of the peer's data the app has read: it grows with each. */
  heard(): number
  /** Completes what is in flight, if the transport `finishesFirst`. */
  finish?(): void
}

/** Tells the suite of a new connection. */
export type Meet = (port: number | undefined, side: Side) => void

/** One transport under the contract, and what it is by nature. */
export interface TransportAdapter {
  readonly name: string
  readonly protocol: Protocol
  readonly phase: ConnectionPhase
  /** Puts the app on a server; returns what is attached beside the server. */
  serve(server: Server, meet: Meet): WebSocketServer | undefined
  /** Makes a fresh connection one of this transport; `received` is empty afterwards. */
  open(peer: RawPeer): Promise<void>
  /** The peer's own data; `false` where a peer has nothing to say. */
  readonly speak: false | ((peer: RawPeer) => void)
  /** Whether the app can send by itself, or does it in answer to the peer alone. */
  readonly pushes: boolean
  /** `close()` leaves what is in flight its time, and ends the connection after it. */
  readonly finishesFirst: boolean
  /** What the peer sees of an orderly end, up to the FIN. It does its part in it. */
  farewell(peer: RawPeer, side: Side, reason: CloseReason): Promise<void>
  /** Why it ended if the peer sends FIN and nothing else. */
  readonly afterFin: CloseReason
  /** Why it ended if the peer resets. */
  readonly afterReset: CloseReason
}

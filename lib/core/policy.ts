import type { PeerConnection } from './connection.js'

/** Decides about connections, one at a time, when their time has come. */
export interface Policy {
  /** Looks at a connection, ends it if need be, and says at which credited time to look again; `Infinity` is not before something changes. */
  visit(connection: PeerConnection, now: number): number
}

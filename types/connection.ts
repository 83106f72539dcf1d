import type { CloseEvidence, CloseReason } from './close.js'

/**
 * What a connection speaks at this moment. A connection keeps its identity while its protocol changes:
 * `http1` becomes `websocket` at an upgrade, `sse` while a `text/event-stream` response runs (and `http1` again
 * when it ends). `upgraded` is an upgraded socket of a library that peerpulse does not know.
 */
export type Protocol = 'http1' | 'sse' | 'websocket' | 'upgraded'

/** `closing`: an orderly end has begun (a close frame, a FIN). `closed`: the socket is gone. */
export type ConnectionState = 'open' | 'draining' | 'closing' | 'closed'

/** What a drain does with a connection: `end` it in order, or let it `finish` by itself, within `drain.deadlineMs`. */
export type OnDrain = 'end' | 'finish'

/** Where in its life a connection is. It is recorded at close, since one error means different things in different phases. */
export type ConnectionPhase =
  | 'tls-handshake'
  | 'awaiting-request'
  | 'request'
  | 'keep-alive'
  | 'upgrade'
  | 'established'

/** Something that must end with its connection. Dispose it when it ended by itself. */
export interface Tracked extends Disposable {
  readonly label: string
  /** The same as `[Symbol.dispose]`: this stream ended by itself, forget it. */
  dispose(): void
}

/** One accepted socket, from accept to close, whatever protocols it goes through. Times are epoch milliseconds. */
export interface Connection {
  /** Unique within the process, counted up from 1. */
  readonly id: number
  readonly protocol: Protocol
  readonly state: ConnectionState
  readonly phase: ConnectionPhase
  /**
   * The peer's address as read at accept (a reset socket no longer knows it); with `limits.trustProxy`, or Express'
   * `trust proxy`, the client's address behind the trusted proxies once a request has named it. `unknown` on a unix
   * socket, and where a trusted proxy named nobody usably. At most 100 characters.
   */
  readonly remoteAddress: string
  readonly remotePort: number | undefined
  readonly openedAt: number
  /** The last inbound byte, true to about 100 ms on WebSockets and to about a second on other protocols. */
  readonly lastSeenAt: number
  /** The last application traffic in either direction (pings and pongs are none), true to about a second. */
  readonly lastActiveAt: number
  /** Round trip of the last heartbeat that was answered; `undefined` before the first. */
  readonly rttMs: number | undefined
  readonly bytesRead: number
  readonly bytesWritten: number
  /** Outbound bytes that wait in this process. */
  readonly bufferedBytes: number
  /** Above `budget.highWaterBytes`, until below `budget.lowWaterBytes`. */
  readonly congested: boolean
  /** Set by whatever ends the connection first, and never changed after that. */
  readonly closeReason: CloseReason | undefined
  /** What was known when it closed; set with state `closed`. */
  readonly evidence: CloseEvidence | undefined
  /**
   * Aborted with the close reason (as `signal.reason.closeReason`) when the connection closes. Made when first asked
   * for. An `abort` listener of it that throws or rejects is caught and reported, which Node does for no other signal:
   * one of a signal that `AbortSignal.any()` makes of this one is an uncaught exception.
   */
  readonly signal: AbortSignal
  /** Application silence in milliseconds after which this connection is closed; `false` is never. Starts as the `idle` section says. */
  idleTimeoutMs: number | false
  /**
   * What a drain does with it. Starts as `finish` where a response is on its way, but for event streams and the polls of
   * Socket.IO, and as `end` for all else. On an HTTP connection it holds for the newest request alone: set it to `end`
   * in the handler of a long poll. That is then answered with 503 and `Retry-After`, or, if it has begun, with its end;
   * the app sees `'close'`, as of a client that went away. A stream that cannot be resumed is let `finish`; where it
   * has not by `drain.closeTimeoutMs` before `drain.deadlineMs`, it is ended after all.
   * Throws `PEERPULSE_ERR_INVALID_ARGUMENT` for anything else.
   */
  onDrain: OnDrain
  /**
   * Ties a stream, subscription or job to this connection. When the connection closes, whatever the cause, `cleanup`
   * is called once with the reason. It has 5 s: a cleanup that has not settled by then, or a stream without a
   * cleanup that is not disposed by then, is counted as a leak under its label. On a closed connection the cleanup
   * runs at once.
   */
  track(label: string, cleanup?: (reason: CloseReason) => unknown): Tracked
  /**
   * Orderly end. A WebSocket gets a close frame, an event stream its end, and is terminated after
   * `drain.closeTimeoutMs`; an HTTP connection ends with the response in flight, however long that takes.
   * Default reason: `server-closed`.
   */
  close(reason?: CloseReason): void
  /** Destroys the socket now. Default reason: `server-closed`. */
  terminate(reason?: CloseReason): void
}

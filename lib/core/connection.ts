import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { inspect } from 'node:util'
import type { CloseEvidence, CloseReason } from '../../types/close.js'
import type {
  Connection,
  ConnectionPhase,
  ConnectionState,
  Protocol,
  Tracked,
} from '../../types/connection.js'
import type { TrafficCounts } from '../../types/transport.js'
import { isCloseReason } from './close-reason.js'
import type { ConnectionHost, ConnectionTransport } from './connection-host.js'
import { ConnectionClosedError, PeerpulseError } from './errors.js'
import { plainAddress } from './peer-address.js'
import type { Refusal } from './refusal.js'
import type { WheelEntry } from './wheel.js'

/** How a protocol reads and ends connections. */
export type PeerTransport = ConnectionTransport<PeerConnection>

/** No time yet; credited times start at 0. */
export const never = -1
const counts: TrafficCounts = { inbound: 0, outbound: 0 }

/**
 * One accepted socket. Times inside are credited milliseconds (see Clock): small integers, no Date, no double on the
 * hot path. The protocol's own fields (`socket`, `webSocket`, `response`, ...) belong to its transport.
 */
export class PeerConnection implements Connection, WheelEntry {
  readonly id: number
  readonly host: ConnectionHost<PeerConnection>
  transport: PeerTransport
  remoteAddress: string
  readonly remotePort: number | undefined
  state: ConnectionState = 'open'
  closeReason: CloseReason | undefined
  evidence: CloseEvidence | undefined

  /** Position in the registry; -1 outside. */
  index = -1
  wheelDue = 0
  wheelNext: WheelEntry | undefined
  wheelPrevious: WheelEntry | undefined

  readonly opened: number
  seen: number
  active: number
  inboundActive: number
  sampledAt: number
  sampledInbound = 0
  sampledOutbound = 0

  congested = false
  bufferedSample = 0
  drainedSample = 0
  progressAt = 0

  /** Silence before this is not the peer's: reading was paused. */
  judgedFrom = 0
  pingSentAt = never
  pingSentExact = 0
  rttMs: number | undefined
  /** When a pong that waits behind our own bytes was last given more time, and how far they had drained at the ping and then. */
  pongCreditAt = never
  drainedAtPing = never
  pongDrained = never

  /** A reason for an end that waits until the response in flight is done. */
  pendingReason: CloseReason | undefined
  closingSince = never
  /** It did not end in order: its socket was destroyed by us. */
  terminated = false
  /** What a dry run has told of this connection already. */
  dryRunReasons: Set<CloseReason> | undefined

  socket: Socket
  webSocket: unknown
  response: ServerResponse | undefined
  /** Those of pipelined requests, behind `response`. */
  queuedResponses: ServerResponse[] | undefined
  /** The last request that was answered asked for the end. */
  peerAskedToClose = false
  /** Node's timer ran out during a response. */
  timedOut = false
  /** Its own address was judged by the limits, at accept or with its first request. */
  peerJudged = false
  /** The TLS handshake is not done; `socket` is the TCP socket below. */
  handshaking = false
  requestSeen = false
  /** Whether `response` is an event stream; unknown until its headers are sent. */
  eventStream: boolean | undefined
  /** It was one too many at accept; its first request is answered with this. */
  refusal: Refusal | undefined
  protocolSince: number
  /** Bytes of the protocols before this one, and of control frames since. */
  overheadInbound = 0
  overheadOutbound = 0
  /** Who went first: set by the transport when it hears of it. */
  sawEnd: 'idle' | 'busy' | undefined
  serverWentFirst = false
  /** What it was doing when the cause of its end was first known; once the socket is destroyed, Node calls a response done. */
  endPhase: ConnectionPhase | undefined
  errorCode: string | undefined
  errorMessage: string | undefined
  hadError = false

  /** What it spoke when its end began: an event stream that was ended is an HTTP connection again, for a moment. */
  #lastProtocol: Protocol | undefined
  #idleTimeoutMs: number | false | undefined
  #controller: AbortController | undefined

  constructor(id: number, host: ConnectionHost<PeerConnection>, transport: PeerTransport, socket: Socket) {
    const { now } = host.clock
    this.id = id
    this.host = host
    this.transport = transport
    this.socket = socket
    this.remoteAddress = plainAddress(socket.remoteAddress)
    this.remotePort = socket.remotePort
    this.opened = now
    this.seen = now
    this.active = now
    this.inboundActive = now
    this.sampledAt = now
    this.protocolSince = now
  }

  get protocol(): Protocol {
    return this.#lastProtocol ?? this.transport.protocolOf(this)
  }
  get phase(): ConnectionPhase {
    return this.evidence?.phase ?? this.transport.phaseOf(this)
  }
  get openedAt(): number {
    return this.host.clock.toEpoch(this.opened)
  }
  get lastSeenAt(): number {
    return this.host.clock.toEpoch(this.seen)
  }
  get lastActiveAt(): number {
    return this.host.clock.toEpoch(this.active)
  }
  get bytesRead(): number {
    return this.evidence?.bytesRead ?? this.transport.bytesRead(this)
  }
  get bytesWritten(): number {
    return this.evidence?.bytesWritten ?? this.transport.bytesWritten(this)
  }
  get bufferedBytes(): number {
    return this.state === 'closed' ? 0 : this.transport.bufferedBytes(this)
  }

  get idleTimeoutMs(): number | false {
    return this.#idleTimeoutMs ?? this.host.idleTimeoutOf(this.protocol)
  }
  set idleTimeoutMs(value: number | false) {
    if (value !== false && !(typeof value === 'number' && Number.isFinite(value) && value > 0)) {
      throw new PeerpulseError(
        'PEERPULSE_ERR_INVALID_ARGUMENT',
        `connection.idleTimeoutMs: must be a number of milliseconds above 0, or false, not ${String(value)}`,
      )
    }
    this.#idleTimeoutMs = value
    this.reschedule()
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController()
      if (this.state === 'closed') this.#abort()
    }
    return this.#controller.signal
  }

  track(label: string, cleanup?: (reason: CloseReason) => unknown): Tracked {
    return this.host.tracking.track(this, label, cleanup)
  }

  close(reason: CloseReason = 'server-closed'): void {
    checkReason('close', reason)
    if (this.state === 'closing' || this.state === 'closed') return
    if (this.transport.isBusy(this)) {
      // The transport sees to it that the response in flight is the last; its end ends the connection.
      this.pendingReason ??= reason
      this.state = 'draining'
      this.#guarded(() => this.transport.close(this, reason))
      return
    }
    this.#lastProtocol ??= this.transport.protocolOf(this)
    this.settle(reason)
    this.state = 'closing'
    this.closingSince = this.host.clock.now
    this.#guarded(() => this.transport.close(this, reason))
    if (this.index !== -1) this.host.wheel.schedule(this, this.closingSince + this.host.closeTimeoutMs)
  }

  terminate(reason: CloseReason = 'server-closed'): void {
    checkReason('terminate', reason)
    if (this.state === 'closed') return
    this.#lastProtocol ??= this.transport.protocolOf(this)
    this.settle(reason)
    this.#destroy(this.closeReason === 'half-open' || this.closeReason === 'slow-consumer')
  }

  /** An HTTP connection ends with its present or next response, so that nobody's request is cut off. */
  retire(reason: CloseReason): void {
    if (this.pendingReason !== undefined) return
    this.pendingReason = reason
    this.#guarded(() => this.transport.retire(this))
  }

  #destroy(reset: boolean): void {
    this.state = 'closing'
    this.terminated = true
    this.#guarded(() => this.transport.terminate(this, reset))
  }

  /** Behind these calls is code of the app's: a patched response, a WebSocket subclass. If it throws, the socket goes. */
  #guarded(end: () => void): void {
    try {
      end()
    } catch (error) {
      this.host.failed(error)
      this.socket.destroy()
    }
  }

  /** Whether it was told to finish, and has: then it ends. */
  endIfDrained(): void {
    if (this.state !== 'draining' || this.transport.isBusy(this)) return
    this.state = 'open'
    this.close(this.pendingReason)
  }

  /** Says why it ends. The first cause wins. */
  settle(reason: CloseReason): void {
    this.closeReason ??= reason
    this.endPhase ??= this.phase
  }

  /** A byte came from the peer. */
  markSeen(): void {
    this.seen = this.host.clock.now
  }

  /** Looks what traffic there was since the last look. Called about once a second, and before a decision. */
  sample(): void {
    const { now } = this.host.clock
    this.sampledAt = now
    this.transport.countTraffic(this, counts)
    if (counts.inbound > this.sampledInbound) {
      this.sampledInbound = counts.inbound
      this.inboundActive = now
      this.active = now
      if (!this.transport.pings) this.seen = now
    }
    if (counts.outbound > this.sampledOutbound) {
      this.sampledOutbound = counts.outbound
      this.active = now
    }
  }

  /** The socket speaks another protocol from here on: traffic, idle time and heartbeat begin anew. */
  become(transport: PeerTransport): void {
    const { now } = this.host.clock
    this.overheadInbound = this.transport.bytesRead(this)
    this.overheadOutbound = this.transport.bytesWritten(this)
    this.transport = transport
    this.protocolSince = now
    this.seen = now
    this.active = now
    this.inboundActive = now
    this.sampledInbound = 0
    this.sampledOutbound = 0
    this.response = undefined
    this.queuedResponses = undefined
    this.reschedule()
  }

  /** Has the policies look at it on the next tick. One that is closing waits for its close timeout alone. */
  reschedule(): void {
    if (this.index !== -1 && this.state !== 'closing') this.host.wheel.schedule(this, this.host.clock.now)
  }

  due(): void {
    if (this.closingSince !== never && this.host.clock.now >= this.closingSince + this.host.closeTimeoutMs) {
      this.#destroy(true)
    } else this.host.visit(this)
  }

  /** The socket is gone: last words. */
  finish(evidence: CloseEvidence): void {
    this.#lastProtocol ??= this.transport.protocolOf(this)
    this.evidence = evidence
    this.state = 'closed'
    this.congested = false
    this.response = undefined
    this.queuedResponses = undefined
    this.#abort()
    this.host.tracking.release(this, this.closeReason ?? 'server-closed')
  }

  /** What a log or a debugger should show: no sockets, no internals. */
  toJSON(): object {
    const { id, protocol, state, phase, remoteAddress, remotePort, openedAt, lastSeenAt, lastActiveAt } = this
    const { rttMs, bytesRead, bytesWritten, bufferedBytes, congested, closeReason, evidence } = this
    const times = { openedAt, lastSeenAt, lastActiveAt, rttMs }
    const bytes = { bytesRead, bytesWritten, bufferedBytes, congested }
    return {
      id,
      protocol,
      state,
      phase,
      remoteAddress,
      remotePort,
      ...times,
      ...bytes,
      closeReason,
      evidence,
    }
  }

  [inspect.custom](): object {
    return this.toJSON()
  }

  #abort(): void {
    this.#controller?.abort(new ConnectionClosedError(this.closeReason ?? 'server-closed', this.id))
  }
}

function checkReason(method: string, reason: unknown): asserts reason is CloseReason {
  if (!isCloseReason(reason)) {
    throw new PeerpulseError(
      'PEERPULSE_ERR_INVALID_ARGUMENT',
      `connection.${method}: '${String(reason)}' is not a close reason; docs/close-reasons.md lists them`,
    )
  }
}

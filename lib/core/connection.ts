import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import { inspect } from 'node:util'
import type { CloseEvidence, CloseReason } from '../../types/close.js'
import type {
  Connection,
  ConnectionPhase,
  ConnectionState,
  OnDrain,
  Protocol,
  Tracked,
} from '../../types/connection.js'
import { checkIdleTimeout, checkOnDrain, checkReason } from './connection-arguments.js'
import { ConnectionExtras } from './connection-extras.js'
import type { ConnectionHost, ConnectionTransport } from './connection-host.js'
import { EndNotes } from './end-notes.js'
import { ConnectionClosedError } from './errors.js'
import { HttpExchange, onDrainOf } from './http-exchange.js'
import { Lingering } from './lingering.js'
import { peerNameOf, plainAddress } from './peer-address.js'
import { plainConnection } from './plain-connection.js'
import type { WheelEntry } from './wheel.js'

/** How a protocol reads and ends connections. */
export type PeerTransport = ConnectionTransport<PeerConnection>

/** No time yet; credited times start at 0. */
export const never = -1

/**
 * One accepted socket. Times inside are credited milliseconds (see Clock): small integers, no Date, no double on the
 * hot path.
 *
 * A server has thousands of these, and most do nothing: every field costs each of them 8 bytes (`npm run bench --
 * memory`). What only some connections have, or only for a time, is in an object of its own: `exchange`, `endNotes`
 * and `extras`.
 */
export class PeerConnection implements Connection, WheelEntry {
  readonly id: number
  readonly host: ConnectionHost<PeerConnection>
  transport: PeerTransport
  /** Set by the registry, in which all connections of a peer share one string. */
  remoteAddress: string
  readonly remotePort: number | undefined
  state: ConnectionState = 'open'

  socket: Socket
  webSocket: unknown
  exchange: HttpExchange | undefined = new HttpExchange()
  endNotes: EndNotes | undefined
  extras: ConnectionExtras | undefined

  /** Position in the registry; -1 outside. */
  index = -1
  wheelDue = 0
  wheelIndex = -1

  /** TCP keepalive was turned on. */
  keepsAlive = false

  readonly opened: number
  seen: number
  active: number
  inboundActive: number
  /** The bytes that are accounted for: those of the last look, and of control frames since. More is traffic. */
  knownInbound = 0
  knownOutbound = 0
  bufferedSample = 0

  pingSentAt = never
  /** In microseconds of a clock that goes round: two small integers instead of two doubles. */
  pingSentMicros = 0
  rttMicros = never

  constructor(id: number, host: ConnectionHost<PeerConnection>, transport: PeerTransport, socket: Socket) {
    const { now } = host.clock
    this.id = id
    this.host = host
    this.transport = transport
    this.socket = socket
    const { address, port } = peerNameOf(socket)
    this.remoteAddress = plainAddress(address)
    this.remotePort = port
    this.opened = now
    this.seen = now
    this.active = now
    this.inboundActive = now
  }

  get protocol(): Protocol {
    return this.endNotes?.protocol ?? this.transport.protocolOf(this)
  }
  get phase(): ConnectionPhase {
    return this.evidence?.phase ?? this.transport.phaseOf(this)
  }
  get closeReason(): CloseReason | undefined {
    return this.endNotes?.closeReason
  }
  get evidence(): CloseEvidence | undefined {
    return this.endNotes?.evidence
  }
  get congested(): boolean {
    return this.extras?.backlog !== undefined
  }
  get rttMs(): number | undefined {
    return this.rttMicros === never ? undefined : this.rttMicros / 1000
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
    return this.extras?.idleTimeoutMs ?? this.host.idleTimeoutOf(this.protocol)
  }
  set idleTimeoutMs(value: number | false) {
    checkIdleTimeout(value)
    this.needExtras().idleTimeoutMs = value
    this.reschedule()
  }

  get onDrain(): OnDrain {
    const response = this.exchange?.current()
    const chosen = response === undefined ? this.extras?.onDrain : onDrainOf.get(response)
    return chosen ?? this.transport.onDrain(this)
  }
  set onDrain(value: OnDrain) {
    checkOnDrain(value)
    this.exchange?.current()
    const response = this.exchange?.newest
    if (response === undefined) this.needExtras().onDrain = value
    else onDrainOf.set(response, value)
  }

  get signal(): AbortSignal {
    const extras = this.needExtras()
    if (extras.controller === undefined) {
      extras.controller = this.host.aborts.createController()
      if (this.state === 'closed') this.#abort()
    }
    return extras.controller.signal
  }

  /** We closed or destroyed it. */
  get isEndedByUs(): boolean {
    const { closingSince, terminated } = this.endNotes ?? {}
    return closingSince !== undefined || terminated === true
  }

  /** Made when first needed. */
  needExtras(): ConnectionExtras {
    this.extras ??= new ConnectionExtras()
    return this.extras
  }

  /** Made at the first sign of an end. */
  noteEnd(): EndNotes {
    this.endNotes ??= new EndNotes()
    return this.endNotes
  }

  track(label: string, cleanup?: (reason: CloseReason) => unknown): Tracked {
    return this.host.tracking.track(this, label, cleanup)
  }

  close(reason: CloseReason = 'server-closed'): void {
    checkReason('close', reason)
    if (this.state === 'closing' || this.state === 'closed') return
    if (reason !== 'handshake-timeout' && this.transport.isBusy(this)) {
      // The transport sees to it that the response in flight is the last; its end ends the connection.
      this.noteEnd().pendingReason ??= reason
      this.state = 'draining'
      this.#guarded(() => this.transport.close(this, reason))
      return
    }
    // Its answer, a close frame or a FIN, must be read.
    this.resumeReading()
    const notes = this.noteEnd()
    notes.protocol ??= this.transport.protocolOf(this)
    this.settle(reason)
    this.state = 'closing'
    const closingSince = this.host.clock.now
    notes.closingSince = closingSince
    this.#guarded(() => this.transport.close(this, reason))
    if (this.index !== -1) this.host.wheel.schedule(this, closingSince + this.host.closeTimeoutMs)
  }

  terminate(reason: CloseReason = 'server-closed'): void {
    checkReason('terminate', reason)
    if (this.state === 'closed') return
    this.noteEnd().protocol ??= this.transport.protocolOf(this)
    this.settle(reason)
    this.#destroy(this.closeReason === 'half-open' || this.closeReason === 'slow-consumer')
  }

  /** An HTTP connection ends with its present or next response, so that nobody's request is cut off. */
  retire(reason: CloseReason): void {
    const notes = this.noteEnd()
    if (notes.pendingReason !== undefined) return
    notes.pendingReason = reason
    this.#guarded(() => this.transport.retire(this))
  }

  /** Has TCP slow the peer down. `false`: the app stopped reading already, or there is nothing to stop. */
  pauseReading(): boolean {
    if (this.extras?.readPaused === true) return false
    try {
      if (!this.transport.pause(this)) return false
    } catch (error) {
      this.host.failed(error)
      return false
    }
    this.needExtras().readPaused = true
    return true
  }

  /** Its silence meanwhile was our doing. */
  resumeReading(): void {
    const { extras } = this
    if (extras?.readPaused !== true) return
    const { now } = this.host.clock
    extras.readPaused = false
    extras.judgedFrom = now
    this.active = now
    this.inboundActive = now
    this.#guarded(() => this.transport.resume(this))
  }

  #destroy(reset: boolean): void {
    this.state = 'closing'
    this.noteEnd().terminated = true
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
    this.close(this.endNotes?.pendingReason)
  }

  /** Says why it ends. The first cause wins. */
  settle(reason: CloseReason): void {
    const notes = this.noteEnd()
    notes.closeReason ??= reason
    notes.phase ??= this.phase
  }

  /** A byte came from the peer. */
  markSeen(): void {
    this.seen = this.host.clock.now
  }

  /** Looks what traffic there was since the last look. Called at least once a second, and before a decision. */
  sample(): void {
    const { now } = this.host.clock
    const inbound = this.transport.bytesRead(this)
    const outbound = this.transport.bytesWritten(this)
    if (inbound > this.knownInbound) {
      this.knownInbound = inbound
      this.inboundActive = now
      this.active = now
      if (!this.transport.pings) this.seen = now
    }
    if (outbound > this.knownOutbound) {
      this.knownOutbound = outbound
      this.active = now
    }
  }

  /** The socket speaks another protocol from here on: traffic, idle time and heartbeat begin anew. */
  become(transport: PeerTransport, exchange?: HttpExchange): void {
    const { now } = this.host.clock
    this.knownInbound = this.transport.bytesRead(this)
    this.knownOutbound = this.transport.bytesWritten(this)
    this.transport = transport
    this.seen = now
    this.active = now
    this.inboundActive = now
    this.exchange = exchange
    this.reschedule()
  }

  /** Has the policies look at it on the next tick. One that is closing waits for its close timeout alone. */
  reschedule(): void {
    if (this.index !== -1 && this.state !== 'closing') this.host.wheel.schedule(this, this.host.clock.now)
  }

  /**
   * Its last answer is written while the request's body is still arriving: our FIN goes, and what comes is read and
   * dropped for a while (RFC 9112, section 9.6). To close now would have the kernel reset the connection, and a peer that
   * reads the answer after its body would not get it.
   */
  linger(request: IncomingMessage): void {
    const notes = this.noteEnd()
    notes.phase ??= 'request'
    notes.protocol ??= this.transport.protocolOf(this)
    this.settle(notes.pendingReason ?? 'server-closed')
    this.state = 'closing'
    notes.lingering = new Lingering(this.host.clock.now, request, this.socket.bytesRead)
    this.#guarded(() => this.socket.end())
    this.due()
  }

  due(): void {
    const { closingSince, lingering } = this.endNotes ?? {}
    if (lingering !== undefined) {
      const next = lingering.look(this.host.clock.now, this.socket.bytesRead, this.host.closeTimeoutMs)
      if (next === undefined) this.socket.destroy()
      else if (this.index !== -1) this.host.wheel.schedule(this, next)
    } else if (closingSince !== undefined && this.host.clock.now >= closingSince + this.host.closeTimeoutMs) {
      this.#destroy(true)
    } else this.host.visit(this)
  }

  /** The socket is gone: last words. */
  finish(evidence: CloseEvidence): void {
    const notes = this.noteEnd()
    notes.protocol ??= this.transport.protocolOf(this)
    notes.evidence = evidence
    this.state = 'closed'
    if (this.extras !== undefined) this.extras.backlog = undefined
    this.exchange?.dropResponses()
    this.#abort()
    this.host.tracking.release(this, this.closeReason ?? 'server-closed')
  }

  toJSON(): object {
    return plainConnection(this)
  }

  [inspect.custom](): object {
    return this.toJSON()
  }

  #abort(): void {
    this.extras?.controller?.abort(new ConnectionClosedError(this.closeReason ?? 'server-closed', this.id))
  }
}

import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { CloseReason } from '../../types/close.js'
import type { Shed } from '../../types/events.js'
import type { ResolvedConfig } from '../../types/options.js'
import type { Snapshot } from '../../types/peerpulse.js'
import type { PeerConnection } from '../core/connection.js'
import type { Endings } from '../core/endings.js'
import type { Feature } from '../core/feature.js'
import { plainAddress } from '../core/peer-address.js'
import { keepsConnection, type Refusal } from '../core/refusal.js'
import type { Registry } from '../core/registry.js'
import type { Reports } from '../core/reports/reports.js'
import type { Drain } from './drain.js'
import { ConnectionLimits } from './limits.js'
import type { PressureAction } from './pressure-actions.js'
import type { PressureControl } from './pressure-control.js'
import { Shedding } from './shedding.js'

/** What the reception asks of the other rooms. */
export interface ReceptionDesk {
  /** Answers a probe; `true`: it was one. */
  answerProbe(req: IncomingMessage, res: ServerResponse): boolean
  answerRefusal(res: ServerResponse, refusal: Refusal): void
  /** Takes the peer's address from trusted proxies; `true`: it is another than before. */
  namePeer(connection: PeerConnection, req: IncomingMessage): boolean
  /** Whether an address is the peer's own at accept: nobody between us is trusted to name it. */
  peerIsKnown(connection: PeerConnection): boolean
  /** Whom trusted proxies name; `undefined` where there are none. */
  clientAddress(req: IncomingMessage): string | undefined
  onShed(shed: Shed): void
}

/** Decides at the door what is let in: sockets, requests and upgrades, in the order probes, drain, limits, pressure. */
export class Reception implements Feature {
  readonly name = 'reception'
  readonly #shed = new Map<CloseReason, number>()
  readonly #desk: ReceptionDesk
  readonly #endings: Endings
  readonly #drain: Drain
  readonly #limits: ConnectionLimits | undefined
  readonly #shedding: Shedding | undefined
  readonly #closing: PressureAction | undefined

  constructor(
    desk: ReceptionDesk,
    config: Pick<ResolvedConfig, 'limits' | 'pressure'>,
    endings: Endings,
    drain: Drain,
    control: PressureControl | undefined,
    registry: Registry,
    reports: Reports,
  ) {
    this.#desk = desk
    this.#endings = endings
    this.#drain = drain
    this.#limits = config.limits ? new ConnectionLimits(config.limits, registry) : undefined
    this.#shedding = config.pressure && control ? new Shedding(control, config.pressure, reports) : undefined
    this.#closing = control?.actions.all.closeConnections
  }

  /** Whether a socket is to be destroyed at accept. */
  turnsAway(socket: Socket): boolean {
    // A dry run lets it in, and tells of it by its first request as of any that is over the limit.
    if (this.#limits?.overHardCap() !== true || this.#endings.dryRun) return false
    const detail = 'more than 110 % of limits.maxConnections'
    const remoteAddress = plainAddress(socket.remoteAddress)
    this.#count('limit')
    this.#desk.onShed({
      what: 'connection',
      reason: 'limit',
      status: undefined,
      detail,
      remoteAddress,
      dryRun: false,
    })
    return true
  }

  /** A connection was registered: is it one too many? Its first request is then refused. */
  judge(connection: PeerConnection): void {
    const { exchange } = connection
    if (exchange === undefined) return
    exchange.peerJudged = this.#desk.peerIsKnown(connection)
    exchange.refusal = this.#limits?.judge(connection, exchange.peerJudged)
  }

  /** `true`: the request was answered. */
  request(connection: PeerConnection, req: IncomingMessage, res: ServerResponse): boolean {
    if (this.#desk.answerProbe(req, res)) return true
    if (this.#drain.active) connection.retire('drain')
    const refusal = this.#overLimit(connection, req) ?? this.#shedding?.request(req)
    if (refusal === undefined) {
      if (this.#closing?.active === true) this.#makeLast(connection, this.#closing)
      return false
    }
    if (!this.#refuses('request', refusal, connection.remoteAddress, connection)) return false
    if (connection.exchange !== undefined && keepsConnection(refusal, req)) {
      connection.exchange.keptRefusal = refusal
    } else {
      connection.noteEnd().errorMessage ??= refusal.detail
      connection.retire(refusal.reason)
    }
    this.#desk.answerRefusal(res, refusal)
    return true
  }

  /** The same for a request of a server that is not attached. */
  strayRequest(req: IncomingMessage, res: ServerResponse): boolean {
    if (this.#desk.answerProbe(req, res)) return true
    const refusal = this.#shedding?.request(req)
    const remoteAddress = this.#desk.clientAddress(req) ?? plainAddress(req.socket?.remoteAddress)
    if (refusal === undefined || !this.#refuses('request', refusal, remoteAddress)) return false
    this.#desk.answerRefusal(res, refusal)
    return true
  }

  upgrade(connection: PeerConnection, req: IncomingMessage): Refusal | undefined {
    const refusal =
      this.#drain.refusal(connection) ?? this.#overLimit(connection, req) ?? this.#shedding?.upgrade(req)
    return refusal !== undefined && this.#refuses('upgrade', refusal, connection.remoteAddress, connection)
      ? refusal
      : undefined
  }

  snapshot({ totals }: Snapshot): void {
    totals.shed = Object.fromEntries(this.#shed)
    totals.dryRun = Object.fromEntries(this.#endings.wouldHave)
  }

  #makeLast(connection: PeerConnection, closing: PressureAction): void {
    // It is served, and then ends as any other whose response says `Connection: close`: nothing of it was shed.
    if (
      connection.endNotes?.pendingReason === undefined &&
      this.#endings.isFirst(connection, 'server-closed')
    )
      closing.count++
    this.#endings.retire(connection, 'server-closed')
  }

  /** A limit's refusal, judged again: there may be room by now, or a proxy has named the peer. */
  #overLimit(connection: PeerConnection, req: IncomingMessage): Refusal | undefined {
    const renamed = this.#desk.namePeer(connection, req)
    const { exchange } = connection
    if (exchange === undefined) return undefined
    if (this.#limits !== undefined && (exchange.refusal !== undefined || renamed || !exchange.peerJudged)) {
      exchange.peerJudged = true
      exchange.refusal = this.#limits.judge(connection, true)
    }
    return exchange.refusal
  }

  /** Tells, and says whether it is really refused: in a dry run it is let in all the same. */
  #refuses(
    what: Shed['what'],
    refusal: Refusal,
    remoteAddress: string,
    connection?: PeerConnection,
  ): boolean {
    const { status, reason, detail } = refusal
    const { dryRun } = this.#endings
    if (!dryRun) this.#count(reason)
    else if (connection === undefined) this.#endings.countOnly(reason)
    else this.#endings.reportsOnly(connection, reason, 'refused')
    this.#desk.onShed({ what, reason, status, detail, remoteAddress, dryRun })
    return !dryRun
  }

  #count(reason: CloseReason): void {
    this.#shed.set(reason, (this.#shed.get(reason) ?? 0) + 1)
  }
}

import type { Protocol } from '../../types/connection.js'
import type { CutConnection, DrainCount, DrainEnds, DrainReport } from '../../types/drain.js'
import type { PeerConnection } from '../core/connection.js'
import { pathOfRequest } from '../core/http-exchange.js'
import { peerText } from '../core/peer-text.js'

/** Named in a report: enough to see what they have in common. */
const mostNamed = 20

/** Counts how connections end during a drain, and names those that were cut off. */
export class DrainTally {
  readonly counts: DrainReport['connections'] = {}
  readonly ends: DrainReport['ends'] = {}
  readonly cut: CutConnection[] = []

  /** Called before a connection is destroyed at the deadline: afterwards nobody knows what it was doing. */
  name(connection: PeerConnection): void {
    if (this.cut.length >= mostNamed) return
    const { id, protocol, remoteAddress, phase, exchange, bufferedBytes, host, opened } = connection
    const req = exchange?.current()?.req
    this.cut.push({
      id,
      protocol,
      remoteAddress,
      phase,
      ageMs: Math.round(host.clock.now - opened),
      bufferedBytes,
      // Without its query, in which there may be secrets: this goes to the log.
      ...(req && { request: peerText(`${req.method} ${pathOfRequest(req)}`) }),
    })
  }

  /** It ended, `ms` after the start. */
  note(connection: PeerConnection, ms: number, isPastDeadline: boolean): void {
    const { protocol, endNotes } = connection
    const count = countOf(this.counts, protocol)
    this.ends[protocol] ??= { onTheirOwn: 0, onOurWord: 0, unanswered: 0, cutOff: 0, firstMs: ms, lastMs: ms }
    const ends = this.ends[protocol] as DrainEnds
    ends.lastMs = ms
    count[endNotes?.terminated ? 'terminated' : 'closed']++
    if (!endNotes?.terminated) ends[connection.closeReason === 'drain' ? 'onOurWord' : 'onTheirOwn']++
    else ends[isPastDeadline ? 'cutOff' : 'unanswered']++
  }
}

/** The report of a dry run: all of them would have been closed. */
export function rehearsal(why: string, connections: Iterable<PeerConnection>): DrainReport {
  const counts: DrainReport['connections'] = {}
  for (const { protocol } of connections) countOf(counts, protocol).closed++
  return {
    why,
    startedAt: Math.round(performance.timeOrigin + performance.now()),
    durationMs: 0,
    phases: {},
    connections: counts,
    ends: {},
    cut: [],
    deadlineExceeded: false,
    dryRun: true,
  }
}

function countOf(counts: DrainReport['connections'], protocol: Protocol): DrainCount {
  counts[protocol] ??= { closed: 0, terminated: 0 }
  return counts[protocol]
}

/** A report as one line of a log. */
export function describeReport(report: DrainReport): string {
  const { why, durationMs, connections, cut } = report
  const protocols = Object.entries(connections).map(([protocol, { closed, terminated }]) =>
    terminated === 0
      ? `${closed} ${protocol} closed`
      : `${closed} ${protocol} closed and ${terminated} terminated`,
  )
  const named = cut.map(
    ({ id, protocol, remoteAddress, request }) =>
      `connection ${id} (${[protocol, remoteAddress, request].filter(Boolean).join(', ')})`,
  )
  const sum = `drained in ${durationMs} ms (${why}): ${protocols.join(', ') || 'there were no connections'}`
  return named.length === 0 ? sum : `${sum}; cut off at the deadline: ${named.join('; ')}`
}

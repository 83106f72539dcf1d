import type { Protocol } from '../../types/connection.js'
import type { Monitor, PressureActionName } from '../../types/monitor.js'
import type { Snapshot } from '../../types/peerpulse.js'
import type { Clock } from '../core/clock.js'
import type { Endings } from '../core/endings.js'
import type { Registry } from '../core/registry.js'
import type { Tracking } from '../core/tracking.js'

/** What a snapshot is taken of. */
export interface SnapshotSources {
  readonly clock: Clock
  readonly registry: Registry
  readonly endings: Endings
  readonly tracking: Tracking
  readonly heartbeats: { pings: number; pongs: number }
  readonly shed: ReadonlyMap<string, number>
  readonly startedEpoch: number
  readonly attached: number
  readonly stalls: Snapshot['stalls']
  readonly draining: boolean
  readonly probesPort: number | false
  readonly callbackErrors: number
  readonly pressure: {
    level: Snapshot['pressure']['level']
    since: number
    monitors: readonly Monitor[]
    readings: Record<string, number>
    describe(monitor: Monitor): Record<string, number | string>
  }
  readonly actions: Readonly<Partial<Record<PressureActionName, { active: boolean; count: number }>>>
  readonly timeoutScale: number
  readonly paused: number
}

export function takeSnapshot(from: SnapshotSources): Snapshot {
  const { clock, registry } = from
  const byProtocol: Partial<Record<Protocol, number>> = {}
  let congested = 0
  for (const connection of registry) {
    const { protocol } = connection
    byProtocol[protocol] = (byProtocol[protocol] ?? 0) + 1
    if (connection.congested) congested++
  }
  const time = Date.now()
  return {
    time,
    uptimeMs: time - from.startedEpoch,
    attached: from.attached,
    draining: from.draining,
    dryRun: from.endings.dryRun,
    probesPort: from.probesPort,
    connections: {
      open: registry.size,
      byProtocol,
      congested,
      peers: registry.peerCount,
      bufferedBytes: registry.bufferedBytes,
    },
    totals: {
      opened: registry.opened,
      closed: Object.fromEntries(registry.closed),
      shed: Object.fromEntries(from.shed),
      dryRun: Object.fromEntries(from.endings.wouldHave),
      skipped: registry.skipped,
      ...from.heartbeats,
      leaks: Object.fromEntries(from.tracking.leaks),
      callbackErrors: from.callbackErrors,
    },
    pressure: {
      level: from.pressure.level,
      sinceMs: clock.now - from.pressure.since,
      monitors: Object.fromEntries(
        from.pressure.monitors.map((monitor) => [
          monitor.name,
          { pressure: from.pressure.readings[monitor.name], ...from.pressure.describe(monitor) },
        ]),
      ),
      actions: Object.fromEntries(
        Object.entries(from.actions).map(([name, { active, count }]) => [name, { active, count }]),
      ),
      timeoutScale: from.timeoutScale,
      paused: from.paused,
    },
    loop: {
      stalls: clock.stallCount,
      stalledMs: Math.round(clock.stalledMs),
      longestMs: Math.round(clock.longestStallMs),
    },
    stalls: from.stalls,
  }
}

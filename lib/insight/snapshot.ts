import type { Snapshot } from '../../types/peerpulse.js'

/** A snapshot of nothing, to which each feature adds its part. */
export function createSnapshot(startedEpoch: number, dryRun: boolean): Snapshot {
  const time = Date.now()
  return {
    time,
    uptimeMs: time - startedEpoch,
    attached: 0,
    draining: false,
    dryRun,
    probesPort: false,
    connections: { open: 0, byProtocol: {}, congested: 0, peers: 0, bufferedBytes: 0 },
    totals: {
      opened: 0,
      closed: {},
      shed: {},
      dryRun: {},
      skipped: 0,
      pings: 0,
      pongs: 0,
      leaks: {},
      callbackErrors: 0,
    },
    pressure: { level: 'normal', sinceMs: 0, monitors: {}, actions: {}, timeoutScale: 1, paused: 0 },
    loop: { stalls: 0, stalledMs: 0, longestMs: 0 },
    stalls: [],
  }
}

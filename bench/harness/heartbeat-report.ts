import { cpuPerHeartbeat, type HeartbeatMeasure } from './heartbeats.js'
import type { Report } from './report.js'
import type { Samples } from './rounds.js'

const microsecondsPerPercent = 10

/** Writes down what `measureHeartbeats` measured. */
export function reportHeartbeats(
  report: Report,
  peers: string,
  measured: Record<HeartbeatMeasure, Samples>,
  windowMs: number,
): void {
  const all = (what: string, unit: string, samples: Samples, scale = 1) => {
    for (const [name, values] of Object.entries(samples))
      report.measure(
        `${name}, ${peers}: ${what}`,
        unit,
        values.map((value) => value * scale),
      )
  }
  all('CPU per heartbeat', 'us', cpuPerHeartbeat(measured))
  all('CPU', '% of a core', measured.cpu, 1 / (windowMs * microsecondsPerPercent))
  all('longest loop stop', 'ms', measured.stop)
  for (const [name, lost] of Object.entries(measured.lost)) {
    const most = Math.max(...lost)
    if (most > 0) report.note(`${name}, ${peers}: up to ${most} healthy peers were cut off in a round.`)
  }
}

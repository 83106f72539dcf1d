import type { PeerpulseOptions } from '../../types/options.js'
import { tickMs } from './clock.js'

/** Nobody's balancer or orchestrator counts in less than a second, and the kernel's TCP keepalive cannot. */
const leastMs: Readonly<Record<string, number>> = {
  'behind.idleTimeoutMs': 1_000,
  'drain.terminationGraceMs': 1_000,
  'heartbeat.tcpKeepAliveMs': 1_000,
  // Less than a tick of ours is no time: not even a test has a use for that.
  'heartbeat.intervalMs': tickMs,
  'heartbeat.timeoutMs': tickMs,
  'idle.websocketMs': tickMs,
  'idle.sseMs': tickMs,
  'idle.upgradedMs': tickMs,
  'idle.inboundMs': tickMs,
  'lifetime.maxAgeMs': tickMs,
  'limits.handshakeTimeoutMs': tickMs,
  'budget.stalledMs': tickMs,
}

/** Milliseconds, as they were given, that can only have been meant as seconds: a sentence for each. */
export function meantAsSeconds(options: PeerpulseOptions): string[] {
  return Object.entries(leastMs).flatMap(([path, least]) => {
    const [section = '', name = ''] = path.split('.')
    const ms = (options as Record<string, Record<string, unknown> | undefined>)[section]?.[name]
    if (typeof ms !== 'number' || ms >= least) return []
    return `${path}: ${ms} means ${ms} milliseconds, which is too short for anything (at least ${least} is usual); was ${ms * 1_000} meant?`
  })
}

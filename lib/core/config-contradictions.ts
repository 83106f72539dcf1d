import type { PeerpulseOptions, ResolvedConfig } from '../../types/options.js'
import { pingShareOfIdleTimeout } from './defaults.js'
import { leaveThreshold } from './hysteresis.js'

const probeNames = ['livez', 'readyz', 'startupz'] as const
const drainPhases = ['readinessDelayMs', 'spreadMs', 'closeTimeoutMs'] as const

/**
 * What is well formed, but cannot be meant. `isSound`: whether an option has a value that can be judged; where another
 * problem was found with it, its default stands in its place.
 */
export function contradictions(
  options: PeerpulseOptions,
  config: ResolvedConfig,
  isSound: (path: string) => boolean,
): string[] {
  const problems: string[] = []
  const refuse = (isContrary: boolean, paths: readonly string[], problem: string): void => {
    if (isContrary && paths.every(isSound)) problems.push(problem)
  }
  const { budget, pressure, drain, probes, behind, heartbeat } = config
  if (budget) {
    const { lowWaterBytes: low, highWaterBytes: high, perConnectionBytes: cap, totalBytes: total } = budget
    refuse(
      low >= high,
      ['budget.lowWaterBytes', 'budget.highWaterBytes'],
      `budget.lowWaterBytes: ${low} must be below budget.highWaterBytes (${high})`,
    )
    refuse(
      high > cap,
      ['budget.highWaterBytes', 'budget.perConnectionBytes'],
      `budget.highWaterBytes: ${high} must not be above budget.perConnectionBytes (${cap})`,
    )
    refuse(
      total !== 'auto' && total < cap,
      ['budget.totalBytes', 'budget.perConnectionBytes'],
      `budget.totalBytes: ${total} must not be below budget.perConnectionBytes (${cap})`,
    )
  }
  if (pressure) {
    const { enter, leave, actions } = pressure
    const both = ['pressure.enter', 'pressure.leave']
    refuse(
      enter[0] >= enter[1],
      ['pressure.enter'],
      `pressure.enter: elevated (${enter[0]}) must be below critical (${enter[1]})`,
    )
    refuse(
      leave[0] >= leave[1],
      ['pressure.leave'],
      `pressure.leave: elevated (${leave[0]}) must be below critical (${leave[1]})`,
    )
    for (const i of [0, 1] as const)
      refuse(
        leave[i] >= enter[i],
        both,
        `pressure.leave: ${leave[i]} must be below pressure.enter (${enter[i]}), or the level flaps`,
      )
    for (const [name, at] of Object.entries(actions)) {
      if (typeof at !== 'number') continue
      const path = `pressure.actions.${name}`
      const i = at >= enter[1] ? 1 : 0
      const gap = `pressure.enter less pressure.leave of the level next to it (${enter[i]} - ${leave[i]})`
      refuse(
        leaveThreshold(at, pressure) <= 0,
        [...both, path],
        `${path}: ${at} would never end, as it is left by ${gap} below itself; raise it above that, or bring the two closer together`,
      )
    }
  }
  const givenDrain = options.drain || {}
  if (givenDrain.terminationGraceMs !== undefined) {
    for (const name of [...drainPhases, 'deadlineMs'] as const)
      refuse(
        givenDrain[name] !== undefined,
        [],
        `drain.${name}: is fitted to drain.terminationGraceMs and may not be given beside it; leave one of the two out`,
      )
  } else if (drain) {
    const phases = drain.readinessDelayMs + drain.spreadMs + drain.closeTimeoutMs
    refuse(
      phases > drain.deadlineMs,
      ['terminationGraceMs', 'deadlineMs', ...drainPhases].map((name) => `drain.${name}`),
      `drain.deadlineMs: ${drain.deadlineMs} ms is shorter than its phases (readinessDelayMs + spreadMs + closeTimeoutMs = ${phases} ms); raise it or shorten them`,
    )
  }
  if (probes) {
    const paths = probeNames.map((name) => probes[name]).filter((path) => path !== false)
    refuse(
      new Set(paths).size < paths.length,
      probeNames.map((name) => `probes.${name}`),
      'probes: livez, readyz and startupz must have three different paths',
    )
  }
  if (behind && heartbeat && options.heartbeat && options.heartbeat.intervalMs !== undefined) {
    const most = behind.idleTimeoutMs * pingShareOfIdleTimeout
    refuse(
      heartbeat.intervalMs > most,
      ['heartbeat.intervalMs', 'behind.idleTimeoutMs'],
      `heartbeat.intervalMs: ${heartbeat.intervalMs} ms is more than ${pingShareOfIdleTimeout} of behind.idleTimeoutMs (${behind.idleTimeoutMs} ms); leave it out, or set it to at most ${most}`,
    )
  }
  return problems
}

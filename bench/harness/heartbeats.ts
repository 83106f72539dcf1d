import { setTimeout as sleep } from 'node:timers/promises'
import { pairedMeasures } from './measures.js'
import type { Samples } from './rounds.js'
import { type Side, withLoad } from './with-load.js'

/** Short, so that a heartbeat is measurable: 10,000 peers make 10,000 of them a second. */
export const heartbeat = { intervalMs: 1000, timeoutMs: 500 }

const load = 'websockets'
const peerpulse: Side = { stack: 'ws-peerpulse', options: { heartbeat }, load }

/** Servers and the peers they need. */
export const contenders = {
  ws: { stack: 'ws-bare', load },
  'ws again (A/A)': { stack: 'ws-bare', load },
  'README recipe': { stack: 'ws-readme', options: heartbeat, load },
  'timers per connection': { stack: 'ws-timers', options: heartbeat, load },
  peerpulse,
  'peerpulse again (A/A)': peerpulse,
  'peerpulse, heartbeat off': { stack: 'ws-peerpulse', options: { heartbeat: false }, load },
  crossws: { stack: 'crossws', options: heartbeat, load },
  'engine.io': {
    stack: 'engine-io',
    options: heartbeat,
    load,
    loadOptions: { path: '/engine.io/?EIO=4&transport=websocket', textPing: '2', textPong: '3' },
  },
  'graphql-ws': {
    stack: 'graphql-ws',
    options: heartbeat,
    load,
    loadOptions: { protocol: 'graphql-transport-ws' },
  },
} satisfies Record<string, Side>

export type Contender = keyof typeof contenders

interface Plan {
  readonly rounds: number
  readonly connections: number
  /** A whole number of intervals: what a burst of pings loses at its begin it gains at its end. */
  readonly windowMs: number
  /** Each peer sends a message this often; without it, peers are idle. */
  readonly talkEveryMs?: number
}

/** What a server spent and did in the window: microseconds of CPU, heartbeats that were answered, milliseconds of the longest stop of its loop, and peers that were cut off. */
export type HeartbeatMeasure = 'cpu' | 'heartbeats' | 'stop' | 'lost'

/** One server at a time, with all peers connected and two intervals gone by. */
export function measureHeartbeats(
  names: readonly Contender[],
  { rounds, connections, windowMs, talkEveryMs }: Plan,
): Promise<Record<HeartbeatMeasure, Samples>> {
  const measure = (side: Side) => () =>
    withLoad(side, async (server, load) => {
      await load.call('connect', connections)
      if (talkEveryMs !== undefined) await load.call('talk', talkEveryMs)
      await sleep(2 * heartbeat.intervalMs)
      await server.call('watchLoop')
      const pongs = await load.call<number>('pongs')
      const cpu = await server.cpuDuring(() => sleep(windowMs))
      const heartbeats = (await load.call<number>('pongs')) - pongs
      const stop = await server.call<number>('longestStop')
      return { cpu, heartbeats, stop, lost: connections - (await load.call<number>('open')) }
    })
  return pairedMeasures(rounds, Object.fromEntries(names.map((name) => [name, measure(contenders[name])])))
}

/** Microseconds of CPU that a heartbeat costs: what was spent beyond bare `ws` in the same round. */
export function cpuPerHeartbeat({ cpu, heartbeats }: Record<HeartbeatMeasure, Samples>): Samples {
  const bare = cpu.ws ?? []
  const perHeartbeat = (name: string, values: number[]) =>
    values.map(
      (value, round) => (value - (bare[round] ?? Number.NaN)) / (heartbeats[name]?.[round] || Number.NaN),
    )
  const pinging = Object.entries(cpu).filter(([name]) => heartbeats[name]?.some((count) => count > 0))
  return Object.fromEntries(pinging.map(([name, values]) => [name, perHeartbeat(name, values)]))
}

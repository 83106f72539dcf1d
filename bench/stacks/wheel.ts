import type { Socket } from 'node:net'
import { tickMs } from '../../lib/core/clock.js'
import { PeerConnection, type PeerTransport } from '../../lib/core/connection.js'
import type { ConnectionHost } from '../../lib/core/connection-host.js'
import { Registry } from '../../lib/core/registry.js'
import { Wheel } from '../../lib/core/wheel.js'
import type { Commands } from '../harness/worker-main.js'

interface Options {
  readonly connections: number
  /** Every connection is due once in so many ticks. */
  readonly periodTicks: number
  /** Whether they are due in random order, and not in that in which they were made. */
  readonly shuffled: boolean
}

/** `lifecycle.ts` looks at as many in a tick. */
const looksPerTick = 1_000

/**
 * The timing wheel and the registry with connections that have no sockets and no policies: when its turn comes, a
 * connection is put back for the next period, and that is all.
 */
export default function start({ connections, periodTicks, shuffled }: Options): Commands {
  const clock = { now: 0 }
  let served = 0
  const wheel = new Wheel((error) => {
    throw error
  })
  const host = {
    clock,
    wheel,
    visit(connection: PeerConnection) {
      served++
      wheel.schedule(connection, clock.now + periodTicks * tickMs)
    },
  } as unknown as ConnectionHost<PeerConnection>
  const socket = { remoteAddress: '127.0.0.1', remotePort: 1 } as Socket

  const all = Array.from({ length: connections }, (_, id) => {
    const connection = new PeerConnection(id, host, {} as PeerTransport, socket)
    // As of a WebSocket: that of a new connection is for HTTP.
    connection.exchange = undefined
    return connection
  })
  if (shuffled) shuffle(all)
  const perTick = connections / periodTicks
  const registry = new Registry()
  for (const [i, connection] of all.entries()) {
    registry.add(connection)
    wheel.schedule(connection, (1 + Math.floor(i / perTick)) * tickMs)
  }

  return {
    /** Turns the wheel until `count` were served; more is never due in a tick than the share of that tick. */
    serve(count: number) {
      for (const until = served + count; served < until; ) {
        clock.now += tickMs
        while (wheel.turn(clock.now));
      }
    },
    /** Reads a field of `count` connections, in the order in which they are due, and does nothing else. */
    touch(count: number) {
      let sum = 0
      for (let left = count; left > 0; left -= all.length) for (const { wheelDue } of all) sum += wheelDue
      return sum
    },
    /** Ticks' looks at the registry, until `count` were looked at. */
    look(count: number) {
      for (let left = count; left > 0; left -= Math.min(looksPerTick, connections))
        registry.look(looksPerTick, (connection) => connection.endIfDrained())
    },
  }
}

function shuffle<T>(list: T[]): void {
  for (let i = list.length - 1; i > 0; i--) {
    const j = Math.floor(Math.random() * (i + 1))
    ;[list[i], list[j]] = [list[j] as T, list[i] as T]
  }
}

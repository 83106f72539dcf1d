import type { EventEmitter } from 'node:events'
import type { CloseReason, Connection, Peerpulse } from 'peerpulse'
import { until } from './wait.js'

/** Everything of a pulse that could be seen on an emitter: its listeners by event, and its own properties. */
export function marksOn(emitter: EventEmitter): Record<string, number | string[]> {
  const listeners = emitter
    .eventNames()
    .map((event) => [String(event), emitter.listenerCount(event)] as const)
    .filter(([, count]) => count > 0)
  const own = [
    ...Object.getOwnPropertySymbols(emitter).map(String),
    ...Object.getOwnPropertyNames(emitter).filter((name) =>
      /^(emit|send|write|destroy|ping|pong)$/.test(name),
    ),
  ].filter((name) => /peerpulse|^(emit|send|write|destroy|ping|pong)$/i.test(name))
  return { ...Object.fromEntries(listeners.sort()), own: own.sort() }
}

/** Every close of a pulse, by the peer's port. */
export class Closes {
  readonly all: { port: number | undefined; reason: CloseReason | undefined; connection: Connection }[] = []

  constructor(pulse: Peerpulse) {
    pulse.on('connection:close', (connection) => {
      this.all.push({ port: connection.remotePort, reason: connection.closeReason, connection })
    })
  }

  of(port: number): Connection[] {
    return this.all.filter((close) => close.port === port).map(({ connection }) => connection)
  }

  /** Waits for the close of a peer's connection. */
  async wait(port: number, what = `the close of the peer on port ${port}`, ms?: number): Promise<Connection> {
    const [connection] = await until(
      () => {
        const closes = this.of(port)
        return closes.length > 0 ? closes : undefined
      },
      what,
      ms,
    )
    return connection as Connection
  }
}

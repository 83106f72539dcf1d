import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Commands } from '../harness/worker-main.js'

/** What a stack with plugins is told. */
export interface Choice {
  readonly plugin: string
  /** The plugin's own. */
  readonly options?: object
}

/** Every stack answers the same. */
export const greeting = 'hello, world'

export function hello(_req: IncomingMessage, res: ServerResponse): void {
  res.setHeader('Content-Type', 'text/plain')
  res.setHeader('Content-Length', greeting.length)
  res.end(greeting)
}

/** Listens on a free port of the loopback, which the command `port` tells. */
export async function listen(server: Server, commands: Commands = {}): Promise<Commands> {
  // Load may pause between rounds for longer than Node's 5 s.
  server.keepAliveTimeout = 600_000
  await new Promise<void>((resolve) => server.listen({ port: 0, host: '127.0.0.1', backlog: 4096 }, resolve))
  const { port } = server.address() as AddressInfo
  return { port: () => port, ...commands }
}

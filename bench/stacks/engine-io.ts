import { createServer } from 'node:http'
import { attach, type Socket } from 'engine.io'
import type { Commands } from '../harness/worker-main.js'
import { hello, listen } from './listen.js'

interface Options {
  readonly intervalMs: number
  readonly timeoutMs: number
}

/** engine.io, whose pings are messages, with timers for each connection. */
export default async function start({ intervalMs, timeoutMs }: Options): Promise<Commands> {
  const server = createServer(hello)
  const engine = attach(server, {
    transports: ['websocket'],
    pingInterval: intervalMs,
    pingTimeout: timeoutMs,
  })
  engine.on('connection', (socket: Socket) => socket.on('message', () => {}))
  return listen(server)
}

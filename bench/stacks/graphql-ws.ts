import { buildSchema } from 'graphql'
import { useServer } from 'graphql-ws/use/ws'
import type { Commands } from '../harness/worker-main.js'
import { listen } from './listen.js'
import { websocketApp } from './websocket-app.js'

/** graphql-ws, with timers for each connection. Its peers may stay idle without a `connection_init`. */
export default async function start({ intervalMs }: { intervalMs: number }): Promise<Commands> {
  const { server, wss } = websocketApp()
  const schema = buildSchema('type Query { hello: String }')
  useServer({ schema, connectionInitWaitTimeout: 0 }, wss, intervalMs)
  return listen(server)
}

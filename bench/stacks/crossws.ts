import { createServer } from 'node:http'
import nodeAdapter from 'crossws/adapters/node'
import type { Commands } from '../harness/worker-main.js'
import { hello, listen } from './listen.js'

/** crossws, which pings everybody in one pass. */
export default async function start({ intervalMs }: { intervalMs: number }): Promise<Commands> {
  const server = createServer(hello)
  const { handleUpgrade } = nodeAdapter({
    idleTimeout: intervalMs / 1000,
    hooks: { message() {}, error() {} },
  })
  server.on('upgrade', (req, socket, head) => handleUpgrade(req, socket, head))
  return listen(server)
}

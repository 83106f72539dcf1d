import type { Commands } from '../harness/worker-main.js'
import { listen } from './listen.js'
import { websocketApp } from './websocket-app.js'

/** `ws` alone, without a heartbeat, and shut down as one would by hand. */
export default async function start(): Promise<Commands> {
  const { server, wss, commands } = websocketApp()
  return listen(server, {
    ...commands,
    shutDown() {
      server.close()
      for (const webSocket of wss.clients) webSocket.close(1001)
    },
  })
}

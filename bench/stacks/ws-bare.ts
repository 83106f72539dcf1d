import type { Commands } from '../harness/worker-main.js'
import { listen } from './listen.js'
import { websocketApp } from './websocket-app.js'

/** `ws` alone, without a heartbeat, and shut down as one would by hand. */
export default async function start(): Promise<Commands> {
  const { server, wss } = websocketApp()
  return listen(server, {
    shutDown() {
      server.close()
      for (const webSocket of wss.clients) webSocket.close(1001)
    },
  })
}

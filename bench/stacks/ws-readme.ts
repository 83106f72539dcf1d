import type { WebSocket } from 'ws'
import type { Commands } from '../harness/worker-main.js'
import { listen } from './listen.js'
import { websocketApp } from './websocket-app.js'

type Watched = WebSocket & { isAlive?: boolean }

function heartbeat(this: Watched): void {
  this.isAlive = true
}

/** The heartbeat of the README of `ws`: a flag, and one timer that pings everybody in one pass. */
export default async function start({ intervalMs = 30_000 }: { intervalMs?: number }): Promise<Commands> {
  const { server, wss } = websocketApp()
  wss.on('connection', (webSocket: Watched) => {
    webSocket.isAlive = true
    webSocket.on('pong', heartbeat)
  })
  setInterval(() => {
    for (const webSocket of wss.clients as Set<Watched>) {
      if (webSocket.isAlive === false) {
        webSocket.terminate()
        continue
      }
      webSocket.isAlive = false
      webSocket.ping()
    }
  }, intervalMs)
  return listen(server)
}

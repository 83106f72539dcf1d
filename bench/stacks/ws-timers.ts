import type { Commands } from '../harness/worker-main.js'
import { listen } from './listen.js'
import { websocketApp } from './websocket-app.js'

interface Options {
  readonly intervalMs?: number
  readonly timeoutMs?: number
}

/** Each connection has a timer of its own for the ping, and another that waits for the pong. */
export default async function start({ intervalMs = 25_000, timeoutMs = 10_000 }: Options): Promise<Commands> {
  const { server, wss } = websocketApp()
  wss.on('connection', (webSocket) => {
    let timeout: NodeJS.Timeout | undefined
    const interval = setInterval(() => {
      timeout = setTimeout(() => webSocket.terminate(), timeoutMs)
      webSocket.ping()
    }, intervalMs)
    webSocket.on('pong', () => clearTimeout(timeout))
    webSocket.on('close', () => {
      clearInterval(interval)
      clearTimeout(timeout)
    })
  })
  return listen(server)
}

import { createServer, type Server } from 'node:http'
import { WebSocketServer } from 'ws'
import { hello } from './listen.js'

/** The app that every stack on `ws` serves: it reads messages and answers none. */
export function websocketApp(): { server: Server; wss: WebSocketServer } {
  const server = createServer(hello)
  const wss = new WebSocketServer({ server })
  wss.on('connection', (webSocket) => {
    webSocket.on('message', () => {})
    webSocket.on('error', () => {})
  })
  return { server, wss }
}

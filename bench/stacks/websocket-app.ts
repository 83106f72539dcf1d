import { createServer, type Server } from 'node:http'
import { type WebSocket, WebSocketServer } from 'ws'
import type { Commands } from '../harness/worker-main.js'
import { hello } from './listen.js'

const lookMs = 1

/** The app that every stack on `ws` serves: it reads messages and answers none. */
export function websocketApp(): { server: Server; wss: WebSocketServer; commands: Commands } {
  const server = createServer(hello)
  const wss = new WebSocketServer({ server })
  let received = 0
  wss.on('connection', (webSocket) => {
    webSocket.on('message', () => {
      received++
    })
    webSocket.on('error', () => {})
  })

  async function until(isSo: () => boolean): Promise<void> {
    while (!isSo()) await new Promise((resolve) => setTimeout(resolve, lookMs))
  }

  const commands: Commands = {
    received: () => received,
    /** Resolves once so many messages have come in all. */
    whenReceived: (total: number) => until(() => received >= total),
    /** Resolves once so many are connected. */
    whenClients: (count: number) => until(() => wss.clients.size === count),
    /** Sends so many messages, one a client in turn; a client gets the next when the kernel has taken the one before. */
    send: (count: number, bytes: number) => sendInTurn([...wss.clients], count, Buffer.alloc(bytes, 'x')),
  }
  return { server, wss, commands }
}

function sendInTurn(clients: readonly WebSocket[], count: number, data: Buffer): Promise<void> {
  let left = count
  let unsent = count
  return new Promise((resolve) => {
    const next = (client: WebSocket) => {
      if (left-- <= 0) return
      client.send(data, () => {
        if (--unsent === 0) resolve()
        // A turn of the loop between two, as between two that an app sends.
        setImmediate(next, client)
      })
    }
    for (const client of clients) next(client)
  })
}

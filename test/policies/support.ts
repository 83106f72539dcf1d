import { once } from 'node:events'
import { createServer, type RequestListener, type Server } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import type { TestContext } from 'node:test'
import { type Connection, type Peerpulse, type PeerpulseOptions, peerpulse } from 'peerpulse'
import { WebSocket, WebSocketServer } from 'ws'

export interface Running {
  readonly pulse: Peerpulse
  readonly server: Server
  readonly wss: WebSocketServer
  readonly port: number
  /** Connections that closed, in order. */
  readonly closed: Connection[]
  /** The next connection that closes and fits. */
  closing(fits?: (connection: Connection) => boolean): Promise<Connection>
}

/** A server with a pulse, which the test leaves behind without a trace. No signal handlers, unless asked for. */
export async function start(
  t: TestContext,
  options: PeerpulseOptions,
  listener: RequestListener = (_, res) => void res.end('hello'),
): Promise<Running> {
  const pulse = peerpulse({ drain: false, ...options })
  const server = createServer(listener)
  const wss = new WebSocketServer({ server })
  pulse.attach(server, wss)
  const closed: Connection[] = []
  pulse.on('connection:close', (connection) => closed.push(connection))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(async () => {
    await pulse.detach()
    for (const client of wss.clients) client.terminate()
    server.close()
    server.closeAllConnections()
  })
  return {
    pulse,
    server,
    wss,
    port: (server.address() as AddressInfo).port,
    closed,
    async closing(fits = () => true) {
      for (;;) {
        const found = closed.find(fits)
        if (found !== undefined) return found
        await new Promise<void>((resolve) => void pulse.once('connection:close', () => resolve()))
      }
    },
  }
}

export async function openWebSocket(t: TestContext, port: number, path = '/'): Promise<WebSocket> {
  const client = new WebSocket(`ws://127.0.0.1:${port}${path}`)
  t.after(() => client.terminate())
  client.on('error', () => {})
  await once(client, 'open')
  return client
}

export async function openSocket(t: TestContext, port: number): Promise<Socket> {
  const socket = connect(port, '127.0.0.1')
  t.after(() => socket.destroy())
  socket.on('error', () => {})
  await once(socket, 'connect')
  return socket
}

/** Everything a socket says until it ends. */
export async function readAll(socket: Socket): Promise<string> {
  let text = ''
  socket.setEncoding('latin1')
  socket.on('data', (chunk) => {
    text += chunk
  })
  if (!socket.closed) await once(socket, 'close')
  return text
}

export const isWebSocket = ({ protocol }: Connection) => protocol === 'websocket'

import http, { type RequestListener, type Server } from 'node:http'
import https from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import { cert, key } from './certificate.js'

/** What a test hands out its clean-up to: node:test's context. */
export interface Scope {
  after(fn: () => unknown): void
}

export interface TestServer {
  readonly server: Server
  readonly port: number
  readonly secure: boolean
  /** Every TCP socket accepted so far. */
  readonly sockets: ReadonlySet<Socket>
}

export interface ServerOptions {
  secure?: boolean
  /** Called before the server listens. */
  prepare?: (server: Server) => void
}

export function makeServer(handler?: RequestListener, secure = false): Server {
  return secure ? https.createServer({ key, cert }, handler) : http.createServer(handler)
}

/** A server on loopback, on a port of the system's choice; closed with everything on it when the test ends. */
export async function startServer(
  scope: Scope,
  handler?: RequestListener,
  { secure = false, prepare }: ServerOptions = {},
): Promise<TestServer> {
  const server = makeServer(handler, secure)
  const sockets = new Set<Socket>()
  server.on('connection', (socket) => sockets.add(socket))
  scope.after(() => stopServer(server, sockets))
  prepare?.(server)
  const port = await listen(server)
  return { server, port, secure, sockets }
}

export async function listen(server: Server): Promise<number> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      server.removeListener('error', reject)
      resolve()
    })
  })
  return (server.address() as AddressInfo).port
}

export async function stopServer(server: Server, sockets: Iterable<Socket> = []): Promise<void> {
  const closed = new Promise((resolve) => server.close(resolve))
  server.closeAllConnections()
  for (const socket of sockets) socket.destroy()
  await closed
}

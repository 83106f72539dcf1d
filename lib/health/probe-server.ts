import { createServer, type Server } from 'node:http'
import type { Probes } from './probes.js'

/** A probe is a line and a few headers: who takes longer is no prober. */
const limits = { headersTimeout: 5_000, requestTimeout: 5_000, connectionsCheckingInterval: 5_000 }

/** Answers the probes on a port of their own. It does not keep the process alive. */
export function openProbeServer(probes: Probes, port: number, onError: (error: Error) => void): Server {
  const server = createServer(limits, (req, res) => {
    if (!probes.handle(req, res)) res.writeHead(404, { 'Content-Length': 0 }).end()
  })
  return server.on('error', onError).listen(port).unref()
}

/** Closes it, with its pooled connections. */
export function closeProbeServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve())
    server.closeAllConnections()
  })
}

/** Where it listens; `false` when it does not. */
export function portOf(server: Server | undefined): number | false {
  const address = server?.address()
  return typeof address === 'object' && address !== null ? address.port : false
}

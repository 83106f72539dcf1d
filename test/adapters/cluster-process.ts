/** Two workers on one port, or each on one of its own (`exclusive`). Its parent tells it over IPC how to stop the first. */
import cluster, { type Worker } from 'node:cluster'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { peerpulse } from 'peerpulse'
import { WebSocketServer } from 'ws'

export type Stop = 'SIGTERM' | 'SIGINT' | 'shutdown' | 'worker.disconnect()' | 'disconnect in the worker'

if (cluster.isPrimary) {
  const workers = [cluster.fork(), cluster.fork()] as [Worker, Worker]
  // Of a worker that listens alone the primary is not told.
  const ports = await Promise.all(
    workers.map(
      (worker) =>
        new Promise<number>((resolve) =>
          worker.once('message', ({ port }: { port: number }) => resolve(port)),
        ),
    ),
  )
  const [first] = workers
  first.on('message', (message) => process.send?.(message))
  first.on('exit', (code) => process.send?.({ exit: code }))
  process.on('message', (stop: Stop) => {
    if (stop === 'worker.disconnect()') first.disconnect()
    else if (stop === 'shutdown' || stop === 'disconnect in the worker') first.send(stop)
    else first.process.kill(stop)
  })
  process.on('disconnect', () => process.exit())
  process.send?.({ ports, pids: workers.map((worker) => worker.process.pid) })
} else {
  let finish = () => {}
  const server = createServer((req, res) => {
    if (req.url === '/finish') finish()
    if (req.url === '/slow') finish = () => void res.end('slow')
    else res.end('hello')
  })
  const wss = new WebSocketServer({ server })
  wss.on('connection', (webSocket) => webSocket.send(String(process.pid)))
  const pulse = peerpulse({ drain: { readinessDelayMs: 0, spreadMs: 700, closeTimeoutMs: 500 } })
  // A worker that was disconnected loses its channel with its last connection.
  pulse.on('drain:phase', ({ phase, why }) => process.connected && process.send?.({ phase, why }))
  pulse.attach(server, wss)
  process.on('message', (message) => {
    if (message === 'disconnect in the worker') cluster.worker?.disconnect()
  })
  server.listen({ port: 0, host: '127.0.0.1', exclusive: process.argv.includes('exclusive') }, () => {
    process.send?.({ port: (server.address() as AddressInfo).port })
  })
}

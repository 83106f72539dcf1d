/** One of two instances behind a balancer. Arguments: the port, and what shuts it down. Sends its port by IPC once it listens. */
import { createServer } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { createTerminus } from '@godaddy/terminus'
import { peerpulse } from 'peerpulse'
import { WebSocketServer } from 'ws'
import { readinessDelayMs, slowMs } from './timing.js'

const [, , port = '0', stack = 'peerpulse'] = process.argv

const server = createServer(async (req, res) => {
  res.setHeader('X-Instance', String(process.pid))
  let bytes = 0
  for await (const chunk of req) bytes += (chunk as Buffer).length
  if (req.url === '/slow') await sleep(slowMs)
  if (req.url === '/chunked') {
    for (let i = 0; i < 5; i++) {
      res.write(`${i}\n`)
      await sleep(slowMs / 10)
    }
  }
  res.end(`${bytes}`)
})
const wss = new WebSocketServer({ server })
wss.on('connection', (webSocket) => webSocket.on('message', (message) => webSocket.send(message)))

if (stack === 'peerpulse') {
  const pulse = peerpulse({
    behind: { idleTimeoutMs: 60_000 },
    drain: { readinessDelayMs, spreadMs: 1_000, closeTimeoutMs: 1_000, deadlineMs: 10_000 },
  })
  pulse.attach(server, wss)
} else {
  // As its README says, the advice for Kubernetes included: the balancer gets time before the server stops.
  createTerminus(server, {
    healthChecks: { '/readyz': async () => {} },
    signals: ['SIGTERM', 'SIGINT'],
    timeout: 10_000,
    useExit0: true,
    beforeShutdown: () => sleep(readinessDelayMs),
  })
}
server.listen(Number(port), '127.0.0.1', () => process.send?.('listening'))
// Whoever started it is gone.
process.on('disconnect', () => process.exit(1))

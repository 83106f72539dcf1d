/** A server that everything holds up: hooks that hang, a response that never ends, peers that do not answer. Logs to stdout. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { peerpulse } from 'peerpulse'
import { WebSocketServer } from 'ws'

const say = (text: string) => process.stdout.write(`${text}\n`)
const hang = () => new Promise<void>(() => {})
const server = createServer((_req, res) => {
  res.writeHead(200)
  res.write('begun')
})
const wss = new WebSocketServer({ server })
const write = (_fields: object, message: string) => say(message)
const pulse = peerpulse({
  drain: {
    readinessDelayMs: 0,
    spreadMs: 0,
    closeTimeoutMs: 2_000,
    deadlineMs: 2_000,
    beforeShutdown: hang,
    onSignal: hang,
    onShutdown: hang,
  },
  log: { info: write, warn: write, error: write },
})
pulse.attach(server, wss)
server.listen(0, '127.0.0.1', () => say(`port ${(server.address() as AddressInfo).port}`))

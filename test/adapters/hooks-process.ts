/** A server with hooks of all kinds, for a signal from outside. Prints what was called, in order. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { peerpulse } from 'peerpulse'

const say = (text: string) => process.stdout.write(`${text}\n`)
const server = createServer((req, res) => {
  if (req.url === '/stuck') say('stuck')
  else res.end('hello')
})
const pulse = peerpulse({
  drain: {
    readinessDelayMs: 0,
    spreadMs: 0,
    closeTimeoutMs: 300,
    deadlineMs: 3_000,
    hookTimeoutMs: 300,
    beforeShutdown: () => {
      say('beforeShutdown')
      throw new Error('this must not stop the shutdown')
    },
    onSignal: async () => {
      say('onSignal')
      await new Promise((resolve) => setTimeout(resolve, 100))
      say('database closed')
    },
    onShutdown: () => {
      say('onShutdown')
      return new Promise(() => {})
    },
  },
})
pulse.on('warning', ({ message }) => say(message))
pulse.on('drain:phase', ({ phase }) => say(phase))
pulse.attach(server)
server.listen(0, '127.0.0.1', () => say(`port ${(server.address() as AddressInfo).port}`))

/** A server that fails on request, for what becomes of those who are connected. Arguments: how it logs. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { peerpulse } from 'peerpulse'
import { WebSocketServer } from 'ws'

const say = (text: string) => process.stdout.write(`${text}\n`)
const server = createServer((req, res) => {
  if (req.url === '/throw') setImmediate(() => thrown('an exception'))
  else if (req.url === '/reject') void Promise.reject(new Error('a rejection'))
  else if (req.url === '/nothing') setImmediate(() => thrown(undefined))
  if (req.url !== '/slow') return void res.end('hello')
  say('slow')
  // It ends when the drain closes: a second error comes first.
  pulse.on('drain:phase', ({ phase }) => {
    if (phase !== 'closing') return
    setImmediate(() => thrown('another exception'))
    setImmediate(() => setImmediate(() => res.end('finished')))
  })
})
function thrown(what: string | undefined): never {
  throw what === undefined ? undefined : new Error(what)
}
const wss = new WebSocketServer({ server })
const logger = { info: () => {}, warn: () => {}, error: (_: object, message: string) => say(message) }
const pulse = peerpulse({
  drain: { readinessDelayMs: 0, spreadMs: 0, uncaught: true, onShutdown: () => say('onShutdown') },
  ...(process.argv[2] === 'log' && { log: logger }),
})
pulse.attach(server, wss)
server.listen(0, '127.0.0.1', () => say(`port ${(server.address() as AddressInfo).port}`))

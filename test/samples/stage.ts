/**
 * What the samples of the documents presuppose, in the process of one sample: globals, so that a sample may declare the
 * same names itself. Whatever port a sample names, it gets a free one on loopback.
 */
import { EventEmitter, once } from 'node:events'
import { createServer, type Server } from 'node:http'
import { type AddressInfo, Server as NetServer } from 'node:net'
import { after } from 'node:test'
import { createTerminus } from '@godaddy/terminus'
import closeWithGrace from 'close-with-grace'
import express from 'express'
import gracefulShutdown from 'http-graceful-shutdown'
import { createHttpTerminator } from 'http-terminator'
import { type Peerpulse, peerpulse } from 'peerpulse'
import { WebSocket, WebSocketServer } from 'ws'
import { until } from '../support/wait.js'

const { listen } = NetServer.prototype
NetServer.prototype.listen = function (this: NetServer, ...args: unknown[]) {
  const done = args.find((arg) => typeof arg === 'function')
  return (listen as (...args: unknown[]) => NetServer).call(this, 0, '127.0.0.1', done)
} as typeof listen

const app = express()
const server = createServer(app)
const wss = new WebSocketServer({ server })
app.get('/', (_req, res) => void res.send('hello\n'))
wss.on('connection', (webSocket) => webSocket.on('message', (data) => webSocket.send(String(data))))

const calls: string[] = []
const note = (name: string, result?: unknown) => () => {
  calls.push(name)
  return result
}

const portOf = (target: Server) => (target.address() as AddressInfo).port

/** For what comes behind a sample: `stage.` and these. */
const stage = {
  calls,
  warnings: [] as string[],
  async listening(target: Server = server): Promise<number> {
    if (!target.listening) {
      target.listen(0, '127.0.0.1')
      await once(target, 'listening')
    }
    return portOf(target)
  },
  async get(path = '/', port = portOf(server)): Promise<[status: number, body: string]> {
    const res = await fetch(`http://127.0.0.1:${port}${path}`, { headers: { connection: 'close' } })
    return [res.status, await res.text()]
  },
  /** A client, and the server's side of it. */
  async webSocket(): Promise<{ client: WebSocket; ws: WebSocket }> {
    const accepted = once(wss, 'connection') as Promise<[WebSocket]>
    const client = new WebSocket(`ws://127.0.0.1:${await stage.listening()}`)
    const [[ws]] = await Promise.all([accepted, once(client, 'open')])
    return { client, ws }
  },
  until,
  /** A pulse that is quick, attached and with a WebSocket on it, for a sample that has one. */
  async attached(): Promise<Peerpulse> {
    const pulse = peerpulse({ drain: { signals: [], readinessDelayMs: 0, spreadMs: 0 } })
    pulse.attach(server, wss)
    const { ws } = await stage.webSocket()
    Object.assign(globalThis, { pulse, ws, url: `http://127.0.0.1:${portOf(server)}/` })
    return pulse
  },
}
process.on('warning', ({ name, message }) => stage.warnings.push(`${name}: ${message}`))

Object.assign(globalThis, {
  stage,
  peerpulse,
  app,
  server,
  wss,
  WebSocket,
  after,
  createTerminus,
  createHttpTerminator,
  gracefulShutdown,
  closeWithGrace,
  closeDatabase: note('closeDatabase'),
  checkDatabase: note('checkDatabase', Promise.resolve()),
  database: { end: note('database.end') },
  db: { ping: note('db.ping') },
  ticker: new EventEmitter(),
  send: () => {},
  data: 'news',
  log: { info() {}, warn: note('log.warn'), error: note('log.error'), debug() {} },
})

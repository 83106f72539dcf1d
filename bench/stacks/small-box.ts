import { createServer, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import express from 'express'
import fastify from 'fastify'
import type { PeerpulseOptions } from 'peerpulse'
import { type WebSocket, WebSocketServer } from 'ws'
import type { Commands } from '../harness/worker-main.js'
import { greeting, listen } from './listen.js'

/** What a handler waits for: another service, or a database. */
const handlingMs = 250
const pageBytes = 256 * 1024
const mostLevelsTold = 30
const feed = { everyMs: 20, bytes: 10 * 1024 }

interface Options {
  readonly guard: 'none' | 'under-pressure' | 'peerpulse'
  readonly options?: object
}

/** What a guard did so far. */
export interface Guarded {
  readonly levelChanges: number
  /** When, in seconds since the start, by which monitor and at what pressure the level changed, the first times. */
  readonly levels: readonly string[]
  readonly closes: Record<string, number>
  readonly shed: Record<string, number>
}

/** Reads the whole body, as a body parser does, and then takes its time. */
async function handleUpload(req: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of req) chunks.push(chunk)
  const body = Buffer.concat(chunks)
  await sleep(handlingMs)
  return String(body.length)
}

const page = () => Buffer.alloc(pageBytes, 'x')

/** `/echo` answers, `/feed` is pushed to, `/work` hands each message to a handler that takes its time. */
function serveWebSockets(server: Server): WebSocketServer {
  const wss = new WebSocketServer({ server })
  const fed = new Set<WebSocket>()
  wss.on('connection', (webSocket, req) => {
    webSocket.on('error', () => {})
    if (req.url === '/echo') webSocket.on('message', (data) => webSocket.send(String(data)))
    else if (req.url === '/work')
      webSocket.on('message', async (data: Buffer) => {
        await sleep(handlingMs)
        data[0] = 0
      })
    else {
      fed.add(webSocket)
      webSocket.on('close', () => fed.delete(webSocket))
    }
  })
  setInterval(() => {
    for (const webSocket of fed)
      if (webSocket.readyState === webSocket.OPEN) webSocket.send(Buffer.alloc(feed.bytes, 'x'))
  }, feed.everyMs)
  return wss
}

async function startFastify(options: object): Promise<Commands> {
  const app = fastify()
  const { default: underPressure } = await import('@fastify/under-pressure')
  await app.register(underPressure, options)
  // The handler reads the body, as it does with Express.
  app.addContentTypeParser('*', (_request, _payload, done) => done(null))
  app.get('/', async () => greeting)
  app.get('/page', async () => page())
  app.post('/upload', (request) => handleUpload(request.raw))
  serveWebSockets(app.server)
  await app.listen({ port: 0, host: '127.0.0.1' })
  const { port } = app.server.address() as AddressInfo
  return { port: () => port }
}

/** An app that is as careless with memory as most: Express, or Fastify with under-pressure, and WebSockets of `ws`. */
export default async function start({ guard, options = {} }: Options): Promise<Commands> {
  if (guard === 'under-pressure') return startFastify(options)
  const app = express()
  const server = createServer(app)
  const wss = serveWebSockets(server)
  const commands: Commands = {}
  if (guard === 'peerpulse') {
    const { default: peerpulse } = await import('peerpulse')
    const pulse = peerpulse({ drain: false, ...(options as PeerpulseOptions) })
    app.use(pulse.middleware())
    pulse.attach(server, wss)
    let levelChanges = 0
    const levels: string[] = []
    const closes: Record<string, number> = {}
    pulse.on('pressure:level', ({ level, monitor, pressure }) => {
      levelChanges++
      if (levels.length < mostLevelsTold)
        levels.push(`${level} at ${process.uptime().toFixed(1)} s (${monitor} ${pressure.toFixed(2)})`)
    })
    pulse.on('connection:close', ({ closeReason = 'unknown' }) => {
      closes[closeReason] = (closes[closeReason] ?? 0) + 1
    })
    commands.guarded = (): Guarded => ({
      levelChanges,
      levels,
      closes,
      shed: pulse.snapshot().totals.shed as Record<string, number>,
    })
  }
  app.get('/', (_req, res) => void res.type('text/plain').send(greeting))
  app.get('/page', (_req, res) => void res.send(page()))
  app.post('/upload', async (req, res) => {
    try {
      res.send(await handleUpload(req))
    } catch {
      // It went in the middle of its body.
      res.destroy()
    }
  })
  return listen(server, commands)
}

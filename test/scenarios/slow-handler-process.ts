/** A server in a process of its own whose handlers take long, and that reads no faster than they work. Told what to do over IPC. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type CloseReason, type PeerpulseOptions, peerpulse } from 'peerpulse'
import { type WebSocket, WebSocketServer } from 'ws'
import { ByteStream } from './byte-stream.js'

export interface SlowReport {
  bytes: number
  /** Senders whose bytes came in another order, or others than were sent. */
  harmed: number
  closes: Partial<Record<CloseReason, number>>
  pings: number
  /** Of resident memory since the first sender came, at its peak. */
  peakGrowthBytes: number
}

/** What a handler does with each piece until it is told to catch up. */
const handlingMs = 2_000
const lookMs = 20

const pulse = peerpulse(JSON.parse(process.argv[2] ?? '{}') as PeerpulseOptions)
const streams = new Set<ByteStream>()
const closes: SlowReport['closes'] = {}
pulse.on('connection:close', ({ closeReason }) => {
  if (closeReason !== undefined) closes[closeReason] = (closes[closeReason] ?? 0) + 1
})

let catchUp = () => {}
const caughtUp = new Promise<void>((resolve) => {
  catchUp = resolve
})
let isSlow = true

async function handle(stream: ByteStream, piece: Buffer): Promise<void> {
  if (isSlow) {
    let timer: NodeJS.Timeout | undefined
    const handled = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, handlingMs)
    })
    await Promise.race([handled, caughtUp])
    clearTimeout(timer)
  }
  stream.take(piece)
}

function newStream(): ByteStream {
  const stream = new ByteStream()
  streams.add(stream)
  return stream
}

/** Reads no further while a message is being handled; what `ws` had read already waits for its turn. */
function onWebSocket(webSocket: WebSocket): void {
  const stream = newStream()
  let waiting = 0
  let last = Promise.resolve()
  webSocket.on('error', () => {})
  webSocket.on('message', (message: Buffer) => {
    webSocket.pause()
    waiting++
    last = last
      .then(() => handle(stream, message))
      .then(() => {
        if (--waiting === 0) webSocket.resume()
      })
  })
}

async function onRequest(req: IncomingMessage, res: ServerResponse): Promise<void> {
  const stream = newStream()
  try {
    for await (const chunk of req) await handle(stream, chunk)
    res.end(String(stream.bytes))
  } catch {
    res.destroy()
  }
}

const server = createServer((req, res) => void onRequest(req, res))
const wss = new WebSocketServer({ server })
wss.on('connection', onWebSocket)
pulse.attach(server, wss)

const rss = () => process.memoryUsage.rss()
let before: number | undefined
let peak = 0
setInterval(() => {
  if (streams.size === 0) return
  before ??= rss()
  peak = Math.max(peak, rss() - before)
}, lookMs)

process.on('message', (command: 'report' | 'catch up') => {
  if (command === 'catch up') {
    isSlow = false
    catchUp()
    return
  }
  const all = [...streams]
  process.send?.({
    bytes: all.reduce((sum, { bytes }) => sum + bytes, 0),
    harmed: all.filter(({ intact }) => !intact).length,
    closes,
    pings: pulse.snapshot().totals.pings,
    peakGrowthBytes: peak,
  } satisfies SlowReport)
})
process.on('disconnect', () => process.exit(3))
server.listen({ port: 0, host: '127.0.0.1' }, () => {
  process.send?.({ port: (server.address() as AddressInfo).port })
})

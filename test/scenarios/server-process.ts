/** A server in a process of its own, for scenarios that stall, flood or end it. Told what to do over IPC. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { type CloseReason, type PeerpulseOptions, peerpulse } from 'peerpulse'
import { WebSocketServer } from 'ws'

export type Command =
  | { do: 'stall'; times: number; ms: number }
  | { do: 'flood'; messageBytes: number; bytesPerSecond: number; forMs: number }
  | { do: 'report' }

export interface Report {
  answer: Command['do']
  open: number
  closes: Partial<Record<CloseReason, number>>
  stalls: number
  pings: number
  /** Growth of resident memory since the command began, at its peak. */
  peakGrowthBytes: number
  shed: number
}

const options = JSON.parse(process.argv[2] ?? '{}') as PeerpulseOptions
const pulse = peerpulse(options)
const server = createServer((req, res) => {
  if (req.url === '/slow') setTimeout(() => res.end('slow'), 1_500)
  else res.end('hello')
})
const wss = new WebSocketServer({ server })
pulse.attach(server, wss)
const closes: Partial<Record<CloseReason, number>> = {}
pulse.on('connection:close', ({ closeReason, protocol }) => {
  if (closeReason !== undefined && protocol === 'websocket')
    closes[closeReason] = (closes[closeReason] ?? 0) + 1
})

function report(answer: Command['do'], peakGrowthBytes = 0): void {
  const { connections, loop, totals } = pulse.snapshot()
  const shed = Object.values(totals.shed).reduce((sum, count) => sum + count, 0)
  process.send?.({
    answer,
    open: connections.byProtocol.websocket ?? 0,
    closes,
    stalls: loop.stalls,
    pings: totals.pings,
    peakGrowthBytes,
    shed,
  } satisfies Report)
}

async function stall(times: number, ms: number): Promise<void> {
  for (let i = 0; i < times; i++) {
    const end = performance.now() + ms
    while (performance.now() < end);
    // Back to back, and yet the loop turns between: the worst for a heartbeat that trusts its timers.
    await nextTurn()
  }
  report('stall')
}

/** Sends to everybody at a rate, each message a buffer of its own, and watches the memory. */
function flood(messageBytes: number, bytesPerSecond: number, forMs: number): void {
  const before = process.memoryUsage.rss()
  const start = performance.now()
  let sent = 0
  let peak = 0
  const timer = setInterval(() => {
    const elapsed = performance.now() - start
    const due = Math.min(elapsed, forMs) * (bytesPerSecond / 1000)
    // A late timer does not make up for what it missed at once, as no real producer would.
    for (let burst = 0; sent < due && burst < 64; burst++, sent += messageBytes) {
      for (const client of wss.clients) client.send(Buffer.alloc(messageBytes, burst))
    }
    sent = Math.max(sent, due)
    peak = Math.max(peak, process.memoryUsage.rss() - before)
    if (elapsed < forMs) return
    clearInterval(timer)
    report('flood', peak)
  }, 5)
}

process.on('message', (command: Command) => {
  if (command.do === 'stall') void stall(command.times, command.ms)
  else if (command.do === 'flood') flood(command.messageBytes, command.bytesPerSecond, command.forMs)
  else report('report')
})
process.on('disconnect', () => process.exit(3))
server.listen({ port: 0, host: '127.0.0.1', backlog: 4_096 }, () => {
  process.send?.({ port: (server.address() as AddressInfo).port })
})

/** A server that is stopped in all sorts of ways. Arguments: a mode, and options of `drain`. Says what happens on stdout. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { type DrainOptions, peerpulse } from 'peerpulse'
import { WebSocketServer } from 'ws'

const [, , mode = '', json = '{}'] = process.argv
const say = (text: string) => process.stdout.write(`${text}\n`)
const hang = () => new Promise<void>(() => {})
const options: DrainOptions = { readinessDelayMs: 0, spreadMs: 0, closeTimeoutMs: 300, ...JSON.parse(json) }

/** The clock of the pulse stands still from the first signal on. */
if (mode === 'a clock that stops') {
  const every = globalThis.setInterval
  let isDead = false
  process.on('SIGTERM', () => {
    isDead = true
  })
  globalThis.setInterval = ((run: () => void, ms: number) =>
    every(() => isDead || run(), ms)) as typeof setInterval
}

const server = createServer((req, res) => {
  if (req.url === '/endless') return void res.write('begun')
  if (req.url === '/throw') setImmediate(() => assertNever())
  if (req.url === '/listen') process.on('message', (message) => say(`message ${message}`))
  res.end('hello')
})
function assertNever(): never {
  throw new Error('nobody catches this')
}
const wss = new WebSocketServer({ server })

const hooks: DrainOptions = {
  onSignal: () => void say('onSignal'),
  onShutdown: () => void say('onShutdown'),
}
const [act, place] = mode.split(' in ') as [string, keyof typeof hooks | undefined]
const acts: Record<string, () => unknown> = {
  detach: () => pulse.detach(),
  'detach and hang': () => pulse.detach().then(hang),
  drain: () => pulse.drain(),
}
const acting = acts[act]
if (place !== undefined && place in { beforeShutdown: 1, onSignal: 1, onShutdown: 1 }) {
  hooks[place] = (async () => {
    say(place)
    await acting?.()
    say(`${act} done`)
  }) as never
}
const line = (level: string) => (_: object, message: string) => say(`${level} ${message}`)
const log = mode === 'a log' && { info: line('info'), warn: line('warn'), error: line('error') }
const pulse = peerpulse({ drain: { ...options, ...hooks }, log })
pulse.on('warning', ({ message }) => say(message))
pulse.on('drain:phase', ({ phase }) => say(phase))
if (place === ('a listener' as never))
  pulse.on('drain:phase', ({ phase }) => phase === 'closing' && acting?.())
if (place === ('a cleanup' as never))
  wss.on('connection', (ws) => {
    pulse.connectionOf(ws)?.track('it', acting as () => unknown)
  })
if (place === ('a check' as never)) pulse.addCheck('it', acting as () => unknown)
pulse.attach(server, wss)
if (mode === 'two pulses') {
  const other = createServer()
  const second = peerpulse({ drain: { ...options, signals: ['SIGINT'] } })
  second.attach(other)
  second.on('drain:phase', ({ phase }) => say(`second ${phase}`))
  other.listen(0, '127.0.0.1')
}
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => say(signal))
if (mode === 'a busy loop')
  setInterval(() => {
    for (const end = performance.now() + 250; performance.now() < end; );
  }, 260)
if (mode === 'a slow handler')
  process.once('SIGTERM', () => {
    say('blocked')
    for (const end = performance.now() + 2_000; performance.now() < end; );
  })
if (mode === 'nothing to do') {
  say('attached')
} else {
  server.listen(0, '127.0.0.1', () => say(`port ${(server.address() as AddressInfo).port}`))
  // As a pool of a database would.
  if (mode !== 'messages') void sleep(60_000)
}

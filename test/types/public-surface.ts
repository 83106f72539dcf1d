/**
 * What must compile and what must not, for those who use peerpulse from TypeScript. It is checked by `npm run types`
 * and never run.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { createServer as createHttp2Server } from 'node:http2'
import { createServer as createHttpsServer } from 'node:https'
import express from 'express'
import { pino } from 'pino'
import { WebSocketServer } from 'ws'
import type fallback from '../../lib/index.js'
import {
  type CloseEvidence,
  type CloseReason,
  type CloseRecord,
  ConfigError,
  type Connection,
  ConnectionClosedError,
  type closeReasons,
  type DrainReport,
  errorCodes,
  type History,
  type Middleware,
  PeerpulseError,
  type PeerpulseErrorCode,
  type PeerpulseEvents,
  type PeerpulseOptions,
  type PressureLevel,
  type Protocol,
  peerpulse,
  type ResolvedConfig,
  type Snapshot,
  type Stall,
  type Tracked,
  warningCodes,
} from '../../lib/index.js'

/** Whether two types are the same, in both directions. */
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
const holds = <T extends true>(..._: T[]): void => {}

const app = express()
const server = createServer(app)
const wss = new WebSocketServer({ noServer: true })
const pulse = peerpulse()

// Construction ------------------------------------------------------------------------------------

holds<Same<typeof fallback, typeof peerpulse>>()
peerpulse({})
peerpulse({
  heartbeat: false,
  idle: { websocketMs: 1, sseMs: false },
  lifetime: { maxAgeMs: 1 },
  dryRun: true,
})
peerpulse({ pressure: { memory: false, enter: [0.5, 0.6], priority: (req) => (req.url === '/pay' ? 1 : 0) } })
peerpulse({ limits: { ipv6PrefixBits: 56 } })
// @ts-expect-error a prefix is a number
peerpulse({ limits: { ipv6PrefixBits: false } })
peerpulse({ limits: { trustProxy: (address, hop) => hop === 0 && address.startsWith('10.') } })
peerpulse({ probes: { details: (req) => req.headers.authorization === 'secret' }, log: pino() })
peerpulse({ drain: { signals: ['SIGTERM'], beforeShutdown: async () => {}, onSignal: () => {} } })
// @ts-expect-error an unknown section
peerpulse({ heartbeats: {} })
// @ts-expect-error an unknown option
peerpulse({ heartbeat: { intervalms: 1 } })
// @ts-expect-error a duration is a number
peerpulse({ heartbeat: { intervalMs: '25s' } })
// @ts-expect-error off is false
peerpulse({ idle: { websocketMs: null } })
// @ts-expect-error an age is required
peerpulse({ lifetime: {} })
// @ts-expect-error two thresholds
peerpulse({ pressure: { enter: [0.5] } })
// @ts-expect-error true switches no section on
peerpulse({ budget: true })
// @ts-expect-error a string is no logger
peerpulse({ log: 'console' })

const options: PeerpulseOptions = { history: { maxCloses: 10 } }
const config: ResolvedConfig = peerpulse(options).config
if (config.heartbeat) holds<Same<typeof config.heartbeat.intervalMs, number>>()
// @ts-expect-error a section may be off
config.heartbeat.intervalMs
// @ts-expect-error the config is read-only
config.dryRun = true

// Attaching ---------------------------------------------------------------------------------------

holds<Same<ReturnType<typeof attachServer>, Server>>()
function attachServer(): Server {
  return pulse.attach(server, wss, createHttpsServer({}, app))
}
const attached: WebSocketServer = pulse.attach(wss)
pulse.attach(app.listen(0))
// @ts-expect-error an app is no server
pulse.attach(app)
// @ts-expect-error an HTTP/2 server is not supported
pulse.attach(createHttp2Server())
// @ts-expect-error nothing to attach
pulse.attach()

app.use(pulse.middleware())
const middleware: Middleware = pulse.middleware()
createServer((req: IncomingMessage, res: ServerResponse) => middleware(req, res, () => res.end()))

// Connections -------------------------------------------------------------------------------------

for (const connection of pulse.connections()) {
  holds<Same<typeof connection, Connection>>()
  holds<Same<typeof connection.protocol, Protocol>>()
  holds<Same<typeof connection.closeReason, CloseReason | undefined>>()
  connection.idleTimeoutMs = 1
  connection.idleTimeoutMs = false
  connection.close('lifetime')
  connection.terminate()
  const tracked: Tracked = connection.track('prices', async (reason) => reason === 'drain')
  tracked.dispose()
  fetch('http://localhost', { signal: connection.signal }).catch(() => {})
  // @ts-expect-error not a close reason
  connection.close('bored')
  // @ts-expect-error off is false
  connection.idleTimeoutMs = undefined
  // @ts-expect-error read-only
  connection.closeReason = 'drain'
}
wss.on('connection', (webSocket, req) => {
  holds<Same<ReturnType<typeof pulse.connectionOf>, Connection | undefined>>()
  pulse.connectionOf(webSocket)
  pulse.connectionOf(req)
  pulse.connectionOf(req.socket)
  // @ts-expect-error an id is no carrier
  pulse.connectionOf(1)
})
const { sent, skipped, closed } = pulse.broadcast(wss, 'price', { congested: 'close' })
holds<Same<typeof sent | typeof skipped | typeof closed, number>>()
// @ts-expect-error no such way
pulse.broadcast(wss, 'price', { congested: 'wait' })

// Checks ------------------------------------------------------------------------------------------

{
  using check = pulse.addCheck('database', async (signal) => signal.aborted, { soft: true, timeoutMs: 500 })
  check satisfies Disposable
}
// @ts-expect-error no such probe
pulse.addCheck('database', () => true, { probe: 'healthz' })
// @ts-expect-error a check is a function
pulse.addCheck('database', true)

// Events ------------------------------------------------------------------------------------------

pulse
  .on('connection:close', ({ closeReason, evidence }) => {
    holds<Same<typeof closeReason, CloseReason | undefined>>()
    holds<Same<typeof evidence, CloseEvidence | undefined>>()
  })
  .once('pressure:level', ({ level }) => holds<Same<typeof level, PressureLevel>>())
  .on('warning', async ({ code }) => void code)
const listener = (shed: PeerpulseEvents['shed']) => void shed.status
pulse.on('stall', ({ at, ms, ongoing }) => void [at, ms, ongoing satisfies boolean])
holds<Same<ReturnType<typeof pulse.snapshot>['stalls'], Stall[]>>()
holds<Same<CloseEvidence['path'], string | undefined>>()
// A logger needs no debug.
peerpulse({ log: { info() {}, warn() {}, error() {} } })
pulse.on('shed', listener).off('shed', listener)
// @ts-expect-error no such event
pulse.on('connection:end', () => {})
// @ts-expect-error another payload
pulse.on('shed', (connection: Connection) => void connection)

// Reading -----------------------------------------------------------------------------------------

const snapshot: Snapshot = pulse.snapshot()
holds<Same<typeof snapshot.totals.closed, Partial<Record<CloseReason, number>>>>()
const history: History = pulse.history()
holds<Same<(typeof history.closes)[number], CloseRecord>>()
holds<Same<keyof typeof closeReasons, CloseReason>>()
void [errorCodes.PEERPULSE_ERR_CONFIG, warningCodes.PEERPULSE_WARN_LEAK]
// @ts-expect-error no such code
void errorCodes.PEERPULSE_ERR_UNKNOWN

// Errors and ends ---------------------------------------------------------------------------------

try {
  peerpulse()
} catch (error) {
  if (error instanceof ConfigError) holds<Same<typeof error.problems, readonly string[]>>()
  if (error instanceof ConnectionClosedError) holds<Same<typeof error.closeReason, CloseReason>>()
  if (error instanceof PeerpulseError) holds<Same<typeof error.code, PeerpulseErrorCode>>()
}

export async function end(): Promise<void> {
  const report: DrainReport = await pulse.drain('deploy')
  holds<Same<typeof report.deadlineExceeded, boolean>>()
  await pulse.detach()
  await using _scoped = peerpulse()
  void attached
}

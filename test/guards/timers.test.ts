import assert from 'node:assert/strict'
import { createHook } from 'node:async_hooks'
import { type TestContext, test } from 'node:test'
import { WebSocketServer } from 'ws'
import { connectRaw, requestRaw } from '../support/raw-peer.js'
import { startServer } from '../support/servers.js'
import { until } from '../support/wait.js'
import { openWebSocket } from '../support/web-socket.js'

const library = new URL('.', import.meta.resolve('peerpulse')).href
/** Every event of a server goes through it, so it is on the stack of the timers that Node makes there for itself. */
const seam = `${library}transports/emit-seam.js`

/** Lines of a stack that do not say who made a timer: this hook, Node's and V8's own, and the seam. */
const notTheirs = [import.meta.url, 'node:', '(<anonymous>)', seam]

/** Once a second Node renders the time for all responses, and a timer drops it: whoever answers first that second makes it. */
const dateHeader = 'node:internal/http:'

/** The timers made from now on, at the first import too, where the nearest line of JavaScript outside Node is one of peerpulse's. */
function timersOfPeerpulse(t: TestContext): NodeJS.Timeout[] {
  const timers: NodeJS.Timeout[] = []
  const hook = createHook({
    init(_id, type, _trigger, resource) {
      if (type !== 'Timeout') return
      const [, ...lines] = String(new Error().stack).split('\n')
      const nearest = lines.find((line) => notTheirs.every((name) => !line.includes(name)))
      const isDateHeader = lines.some((line) => line.includes(dateHeader))
      if (nearest?.includes(library) && !isDateHeader) timers.push(resource as NodeJS.Timeout)
    },
  })
  const { stackTraceLimit } = Error
  Error.stackTraceLimit = 50
  hook.enable()
  t.after(() => {
    hook.disable()
    Error.stackTraceLimit = stackTraceLimit
  })
  return timers
}

/** Two servers with WebSockets and pooled HTTP connections, which live through all that has a deadline. */
async function startBusyPulse(t: TestContext) {
  const { peerpulse } = await import('peerpulse')
  const pulse = peerpulse({
    heartbeat: { intervalMs: 300, timeoutMs: 5_000 },
    idle: { websocketMs: 60_000, sseMs: 60_000 },
    lifetime: { maxAgeMs: 60_000 },
    drain: { signals: [], readinessDelayMs: 0, spreadMs: 0 },
  })
  t.after(() => pulse.detach())
  pulse.addCheck('always', () => true)
  for (let i = 0; i < 2; i++) {
    const { server, port } = await startServer(t, (req, res) => {
      pulse.connectionOf(req)?.track('a request')
      res.end('hello')
    })
    const wss = new WebSocketServer({ server })
    pulse.attach(server, wss)
    const peers = await Promise.all(Array.from({ length: 100 }, () => openWebSocket(t, port)))
    for (const { webSocket } of peers) webSocket.send('hello')
    const pooled = Array.from({ length: 20 }, async () => {
      const peer = await connectRaw(t, port)
      await requestRaw(peer)
      await requestRaw(peer, '/readyz')
    })
    await Promise.all(pooled)
  }
  await until(() => pulse.snapshot().totals.pongs >= 200, 'pongs of all')
  return pulse
}

test('a pulse has one timer, whatever it watches, and it keeps no process alive', async (t) => {
  const timers = timersOfPeerpulse(t)
  const first = await startBusyPulse(t)
  assert.equal(timers.length, 1)
  const second = await startBusyPulse(t)
  assert.equal(timers.length, 2)
  assert.deepEqual(
    timers.map((timer) => timer.hasRef()),
    [false, false],
  )
  await first.drain()
  await Promise.all([first.detach(), second.detach()])
  assert.equal(timers.length, 2, 'a drain and a detach need no timer of their own')
  const stopped = timers as unknown as { _destroyed: boolean }[]
  assert.deepEqual(
    stopped.map(({ _destroyed }) => _destroyed),
    [true, true],
  )
})

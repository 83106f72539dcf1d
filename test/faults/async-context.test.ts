import assert from 'node:assert/strict'
import { AsyncLocalStorage } from 'node:async_hooks'
import { createServer, type Server } from 'node:http'
import { type TestContext, test } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import express from 'express'
import { type Peerpulse, type PeerpulseOptions, peerpulse } from 'peerpulse'
import { WebSocketServer } from 'ws'
import { startChild } from '../support/child.js'
import { listen, makeServer, startServer, stopServer } from '../support/servers.js'
import { turn, until } from '../support/wait.js'
import { openWebSocket } from '../support/web-socket.js'

setFlagsFromString('--expose-gc')
const gc = runInNewContext('gc') as () => void

interface Store {
  readonly id: string
}

/** What ran in which context; and whether the store of a request is still held by anybody. */
class Contexts {
  readonly storage = new AsyncLocalStorage<Store>()
  readonly seen = new Map<string, Set<string>>()
  readonly #stores: WeakRef<Store>[] = []

  run<T>(id: string, run: () => T): T {
    const store = { id }
    this.#stores.push(new WeakRef(store))
    return this.storage.run(store, run)
  }

  note(what: string): void {
    const ids = this.seen.get(what) ?? new Set()
    this.seen.set(what, ids.add(this.storage.getStore()?.id ?? 'none'))
  }

  async freed(): Promise<void> {
    await until(async () => {
      gc()
      await turn()
      return this.#stores.every((store) => store.deref() === undefined)
    }, 'the stores to be freed')
  }
}

function createPulse(t: TestContext, contexts: Contexts, options: PeerpulseOptions = {}): Peerpulse {
  const line = () => contexts.note('log')
  const pulse = peerpulse({
    drain: false,
    pressure: {
      memory: false,
      warmUpMs: 0,
      monitors: [{ name: 'load', read: () => void contexts.note('monitor') }],
    },
    log: { info: line, warn: line, error: line, debug: line } as never,
    ...options,
  })
  t.after(() => pulse.detach())
  return pulse
}

const get = (port: number, path = '/') =>
  fetch(`http://127.0.0.1:${port}${path}`, { headers: { connection: 'close' } }).then((res) => res.text())

test('the first request through the middleware is not the context of what we do from then on', async (t) => {
  const contexts = new Contexts()
  const pulse = createPulse(t, contexts)
  pulse.addCheck('database', () => contexts.note('check'))
  const app = express()
  app.use((_req, _res, next) => contexts.run('request', next))
  app.use(pulse.middleware())
  app.get('/', (_req, res) => void res.end('ok'))
  const server = createServer(app)
  t.after(() => stopServer(server))
  const port = await listen(server)
  await get(port)
  await get(port, '/readyz')
  await until(() => contexts.seen.has('monitor'), 'a tick')
  assert.deepEqual(Object.fromEntries([...contexts.seen].map(([what, ids]) => [what, [...ids]])), {
    monitor: ['none'],
    check: ['none'],
    log: ['none'],
  })
  await contexts.freed()
})

test('what is attached, drained and opened within a request is not in its context', async (t) => {
  const contexts = new Contexts()
  const { server, port } = await startServer(t, (_req, res) => void res.end('ok'))
  const wss = new WebSocketServer({ server })
  const pulse = createPulse(t, contexts, {
    probes: { port: 0 },
    heartbeat: { intervalMs: 200 },
    drain: { signals: ['SIGWINCH'], readinessDelayMs: 200, spreadMs: 200, onSignal: () => {} },
  })
  pulse.addCheck('database', () => contexts.note('check'))
  contexts.run('attach', () => pulse.attach(server, wss))
  await until(() => typeof pulse.snapshot().probesPort === 'number', 'the port of the probes')
  await get(port)
  await get(pulse.snapshot().probesPort as number, '/readyz')
  const { closed } = await openWebSocket(t, port)
  await until(() => pulse.snapshot().totals.pongs > 0, 'a heartbeat')
  pulse.on('drain:phase', ({ phase }) => {
    if (phase !== 'delay') contexts.note('phase')
  })
  const report = contexts.run('drain', () => pulse.drain('test'))
  await closed
  await report
  for (const [what, ids] of contexts.seen) assert.deepEqual([...ids], ['none'], what)
  for (const what of ['monitor', 'check', 'log', 'phase']) assert.ok(contexts.seen.has(what), what)
  await contexts.freed()
})

test('the caller keeps its context across what it awaits of us', async (t) => {
  const contexts = new Contexts()
  const pulse = createPulse(t, contexts, { drain: { signals: [], readinessDelayMs: 0, spreadMs: 0 } })
  const server: Server = makeServer()
  await contexts.run('mine', async () => {
    pulse.attach(server)
    await pulse.drain('test')
    assert.equal(contexts.storage.getStore()?.id, 'mine')
    await pulse.detach()
    assert.equal(contexts.storage.getStore()?.id, 'mine')
  })
})

test('a request that imports the module is not the context either', async (t) => {
  const { port } = await startChild(t, new URL('./lazy-process.js', import.meta.url), [])
  await until(async () => (await get(port)).includes('ticks in: none'), 'a tick that is in no context')
})

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { Agent, get, type IncomingHttpHeaders } from 'node:http'
import { test } from 'node:test'
import { until } from '../support/wait.js'
import { openClient, pidNamespaceFlags, startServerAsPid1, startServerProcess } from './support.js'

interface Answer {
  status: number | undefined
  headers: IncomingHttpHeaders
  body: string
}

function ask(port: number, path: string, agent?: Agent): Promise<Answer> {
  return new Promise((resolve, reject) => {
    get({ host: '127.0.0.1', port, path, agent: agent ?? false }, (res) => {
      let body = ''
      res.setEncoding('utf8')
      res.on('data', (chunk) => {
        body += chunk
      })
      res.on('end', () => resolve({ status: res.statusCode, headers: res.headers, body }))
    }).on('error', reject)
  })
}

const drain = { readinessDelayMs: 1_500, spreadMs: 1_000, closeTimeoutMs: 1_000, deadlineMs: 15_000 }

test('SIGTERM cuts nobody off', async (t) => {
  const server = await startServerProcess({ drain })
  const { port } = server
  t.after(() => server.kill())
  const clients = await Promise.all(Array.from({ length: 20 }, () => openClient(port)))
  const codes = clients.map((client) => once(client, 'close').then(([code]) => code as number))
  const pool = new Agent({ keepAlive: true, maxSockets: 1 })
  t.after(() => pool.destroy())
  assert.equal((await ask(port, '/', pool)).headers.connection, 'keep-alive')
  const slow = ask(port, '/slow')

  server.child.kill('SIGTERM')
  await until(async () => (await ask(port, '/readyz')).status === 503, 'readiness fails')
  assert.equal((await ask(port, '/livez')).status, 200)
  const fresh = await ask(port, '/')
  assert.equal(fresh.status, 200)
  assert.equal(fresh.headers.connection, 'close')
  const pooled = await ask(port, '/', pool)
  assert.equal(pooled.body, 'hello')
  assert.equal(pooled.headers.connection, 'close')
  // A balancer that has not looked yet still sends upgrades.
  const late = await openClient(port)
  codes.push(once(late, 'close').then(([code]) => code as number))

  assert.equal((await slow).body, 'slow')
  assert.deepEqual(await Promise.all(codes), Array(21).fill(1012))
  assert.equal(await server.exited, 0)
})

test('SIGINT skips the readiness delay', async (t) => {
  const server = await startServerProcess({
    drain: { ...drain, readinessDelayMs: 10_000, deadlineMs: 20_000 },
  })
  t.after(() => server.kill())
  const client = await openClient(server.port)
  const start = performance.now()
  server.child.kill('SIGINT')
  const [code] = (await once(client, 'close')) as [number]
  assert.equal(code, 1012)
  assert.equal(await server.exited, 0)
  assert.ok(performance.now() - start < 10_000, 'it waited for the readiness delay')
})

test('a second signal, a second later, exits at once', async (t) => {
  const server = await startServerProcess({
    drain: { ...drain, readinessDelayMs: 60_000, deadlineMs: 90_000 },
  })
  t.after(() => server.kill())
  server.child.kill('SIGTERM')
  await until(async () => (await ask(server.port, '/readyz')).status === 503, 'readiness fails')
  const { child } = server
  await until(() => child.exitCode !== null || (child.kill('SIGTERM') && false), 'the exit')
  assert.equal(await server.exited, 128 + 15)
})

test('without connections to wait for, and with restart: false, it ends with 1001', async (t) => {
  const server = await startServerProcess({ drain: { ...drain, readinessDelayMs: 0, restart: false } })
  t.after(() => server.kill())
  const client = await openClient(server.port)
  server.child.kill('SIGTERM')
  const [code, reason] = (await once(client, 'close')) as [number, Buffer]
  assert.equal(code, 1001)
  assert.match(String(reason), /^drain; reconnect=0\.\.1000$/)
  assert.equal(await server.exited, 0)
})

test('as PID 1 of a container it exits too', async (t) => {
  if (pidNamespaceFlags === undefined) {
    assert.equal(process.env.CI, undefined, 'CI must be able to make a PID namespace')
    t.skip('needs the right to make a PID namespace')
    return
  }
  const server = await startServerAsPid1({ drain: { ...drain, readinessDelayMs: 0 } }, pidNamespaceFlags)
  t.after(() => server.kill())
  const client = await openClient(server.port)
  server.signal('SIGTERM')
  const [code] = (await once(client, 'close')) as [number]
  assert.equal(code, 1012)
  assert.equal(await server.exited, 0)
})

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import http, { type RequestListener } from 'node:http'
import https from 'node:https'
import { createRequire } from 'node:module'
import { connect, type NetConnectOpts, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, type TestContext, test } from 'node:test'
import express from 'express'
import { type PeerpulseOptions, peerpulse } from 'peerpulse'
import { WebSocket, WebSocketServer } from 'ws'
import { openSocket, start } from '../policies/support.js'
import { cert, key } from '../support/certificate.js'

/** A request on a connection of its own, which stays open; the status, and what the server calls the peer. */
async function ask(t: TestContext, at: NetConnectOpts, ...lines: string[]): Promise<[number, string]> {
  const socket: Socket = connect(at)
  t.after(() => socket.destroy())
  const answer = once(socket, 'data')
  socket.write(`GET / HTTP/1.1\r\nHost: x\r\n${lines.map((line) => `${line}\r\n`).join('')}\r\n`)
  const [text] = (await answer) as [Buffer]
  const [head = '', body = ''] = String(text).split('\r\n\r\n')
  return [Number(head.slice(9, 12)), body]
}

const forwardedFor = (client: string) => `X-Forwarded-For: ${client}`

async function naming(t: TestContext, options: PeerpulseOptions) {
  const running = await start(t, options, (req, res) =>
    res.end(running.pulse.connectionOf(req)?.remoteAddress),
  )
  const at = { port: running.port, host: '127.0.0.1' }
  return { ...running, ask: (...lines: string[]) => ask(t, at, ...lines) }
}

describe('whom a trusted proxy names', () => {
  for (const [what, lines, name] of [
    ['a client with its port', [forwardedFor('203.0.113.7:50000')], '203.0.113.7'],
    ['a client in brackets with its port', [forwardedFor('[2001:DB8::1]:443')], '2001:db8::1'],
    ['a client in quotes', [forwardedFor('"[2001:db8::1]:443"')], '2001:db8::1'],
    ['the last of several', [forwardedFor('198.51.100.1,  203.0.113.7:1')], '203.0.113.7'],
    ['the last of several lines', [forwardedFor('198.51.100.1'), forwardedFor('203.0.113.7')], '203.0.113.7'],
    ['a client among empty entries', [forwardedFor(',203.0.113.7, , ,')], '203.0.113.7'],
    ['nobody, by the word', [forwardedFor('unknown')], 'unknown'],
    ['nobody, hidden', [forwardedFor('203.0.113.7, _hidden')], 'unknown'],
    ['nobody, by an empty list', [forwardedFor(' , ,')], 'unknown'],
    ['nobody, by too long a chain', [forwardedFor('127.0.0.1,'.repeat(500))], 'unknown'],
    ['itself, without the header', [], '127.0.0.1'],
  ] as const) {
    test(what, async (t) => {
      const { ask, pulse } = await naming(t, { limits: { trustProxy: 'loopback' } })
      assert.deepEqual(await ask(...lines), [200, name])
      assert.deepEqual(
        pulse.history().peers.map(({ remoteAddress }) => remoteAddress),
        [name.replace(/::1$/, '::/64')],
      )
    })
  }

  test('nobody is counted as the proxy, however many there are', async (t) => {
    const { ask } = await naming(t, { limits: { maxPerPeer: 2, trustProxy: 1 } })
    for (const client of ['unknown', '_x', '', 'unknown', 'unknown'])
      assert.deepEqual(await ask(forwardedFor(client)), [200, 'unknown'])
    for (const [port, status] of [
      [1, 200],
      [2, 200],
      [3, 429],
    ] as const)
      assert.equal((await ask(forwardedFor(`203.0.113.7:${port}`)))[0], status)
  })

  test('the next hop is looked up by its address alone', async (t) => {
    const { ask } = await naming(t, { limits: { trustProxy: ['127.0.0.1', '10.0.0.0/8', 'fc00::/7'] } })
    const chain = '198.51.100.1, 203.0.113.7:40000, 10.0.0.1:8080, "[fd00::1]:80"'
    assert.deepEqual(await ask(forwardedFor(chain)), [200, '203.0.113.7'])
  })

  test('a connection without the header is the proxy again', async (t) => {
    const { port, pulse } = await naming(t, { limits: { trustProxy: 1 } })
    const socket = await openSocket(t, port)
    for (const [line, name] of [
      ['X-Forwarded-For: 203.0.113.7\r\n', '203.0.113.7'],
      ['', '127.0.0.1'],
    ]) {
      const answer = once(socket, 'data')
      socket.write(`GET / HTTP/1.1\r\nHost: x\r\n${line}\r\n`)
      await answer
      assert.deepEqual(
        [...pulse.connections()].map(({ remoteAddress }) => remoteAddress),
        [name],
      )
    }
  })

  for (const [what, trustProxy] of [
    ['throws', () => assert.fail('no list')],
    ['answers with a promise', (async () => Promise.reject(new Error('no list'))) as never],
  ] as const)
    test(`a function that ${what} trusts nobody, and nobody is refused for it`, async (t) => {
      const { ask, pulse } = await naming(t, { limits: { maxPerPeer: 1, trustProxy } })
      const told: string[] = []
      pulse.on('warning', ({ message }) => told.push(message))
      for (let i = 0; i < 3; i++) assert.deepEqual(await ask(forwardedFor('203.0.113.7')), [200, 'unknown'])
      assert.match(told[0] ?? '', /^limits\.trustProxy threw/)
    })
})

test('on a unix socket clients are told apart by what the proxy says, and nobody else is counted', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'peerpulse-'))
  t.after(() => rmSync(folder, { recursive: true }))
  for (const [i, trustProxy] of [
    true,
    1,
    'loopback',
    (address: string) => address.startsWith('127.'),
  ].entries()) {
    const pulse = peerpulse({ drain: false, limits: { maxPerPeer: 1, trustProxy } })
    const server = http.createServer((req, res) => res.end(pulse.connectionOf(req)?.remoteAddress))
    pulse.attach(server)
    const path = join(folder, `${i}`)
    await once(server.listen(path), 'listening')
    t.after(() => server.close())
    assert.deepEqual(await ask(t, { path }, forwardedFor('203.0.113.1:1')), [200, '203.0.113.1'])
    assert.deepEqual(await ask(t, { path }, forwardedFor('203.0.113.2:1')), [200, '203.0.113.2'])
    assert.equal((await ask(t, { path }, forwardedFor('203.0.113.2:2')))[0], 429)
    for (let n = 0; n < 3; n++) assert.deepEqual(await ask(t, { path }), [200, 'unknown'])
    server.closeAllConnections()
    await pulse.detach()
  }
})

test('on a unix socket with TLS too', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'peerpulse-'))
  const path = join(folder, 'tls')
  const pulse = peerpulse({ drain: false, limits: { maxPerPeer: 1, trustProxy: 1 } })
  const server = https.createServer({ key, cert }, (req, res) =>
    res.end(pulse.connectionOf(req)?.remoteAddress),
  )
  pulse.attach(server)
  await once(server.listen(path), 'listening')
  t.after(async () => {
    await pulse.detach()
    server.close()
    server.closeAllConnections()
    rmSync(folder, { recursive: true })
  })
  const name = (headers: Record<string, string>) =>
    new Promise<string>((resolve, reject) => {
      const options = { socketPath: path, rejectUnauthorized: false, agent: new https.Agent(), headers }
      https
        .get(options, (res) => {
          res.setEncoding('utf8').once('data', resolve)
        })
        .on('error', reject)
    })
  assert.equal(await name({ 'X-Forwarded-For': '203.0.113.1' }), '203.0.113.1')
  assert.equal(await name({ 'X-Forwarded-For': '203.0.113.2' }), '203.0.113.2')
  for (let i = 0; i < 3; i++) assert.equal(await name({}), 'unknown')
})

test('IPv6 counts by prefix, and so does the history', async (t) => {
  const { ask, pulse } = await naming(t, { limits: { maxPerPeer: 2, trustProxy: 1, ipv6PrefixBits: 48 } })
  const of = (network: number, host: number) => ask(forwardedFor(`[2001:db8:${network}:${host}::${host}]:1`))
  for (let host = 1; host <= 4; host++)
    assert.deepEqual(await of(1, host), [200, `2001:db8:1:${host}::${host}`])
  // One prefix has twice the share of an address, and no more.
  assert.equal((await of(1, 5))[0], 429)
  assert.equal((await of(2, 1))[0], 200)
  assert.equal((await of(2, 1))[0], 200)
  assert.equal((await of(2, 1))[0], 429)
  assert.deepEqual(
    pulse.history().peers.map(({ remoteAddress, opens }) => [remoteAddress, opens]),
    [
      ['2001:db8:2::/48', 3],
      ['2001:db8:1::/48', 5],
    ],
  )
})

describe('the trust of an Express app', () => {
  for (const [version, create] of [
    ['4', createRequire(import.meta.url)('express4') as typeof express],
    ['5', express],
  ] as const)
    for (const secure of [false, true])
      test(`${version} is known from the first WebSocket on, ${secure ? 'https' : 'http'}`, async (t) => {
        const app = create()
        const server = secure ? https.createServer({ key, cert }) : http.createServer()
        const pulse = peerpulse({ drain: false, limits: { maxPerPeer: 2 } })
        const wss = new WebSocketServer({ server })
        pulse.attach(server, wss)
        // Both after attach, as late as can be.
        server.on('request', app)
        app.set('trust proxy', 'loopback')
        await once(server.listen(0, '127.0.0.1'), 'listening')
        t.after(async () => {
          for (const client of wss.clients) client.terminate()
          await pulse.detach()
          server.close()
          server.closeAllConnections()
        })
        const { port } = server.address() as { port: number }
        const url = `${secure ? 'wss' : 'ws'}://127.0.0.1:${port}`
        const open = async (i: number) => {
          const options = { rejectUnauthorized: false, headers: { 'X-Forwarded-For': `203.0.113.${i}:5000` } }
          const client = new WebSocket(url, options)
          t.after(() => client.terminate())
          client.on('error', () => {})
          return Promise.race([
            once(client, 'open').then(() => 101),
            once(client, 'unexpected-response').then(([, res]) => (res as http.IncomingMessage).statusCode),
          ])
        }
        for (const i of [1, 2, 3, 4, 5, 5]) assert.equal(await open(i), 101, `client ${i}`)
        assert.equal(await open(5), 429)
      })

  test('holds for its own server alone', async (t) => {
    const pulse = peerpulse({ drain: false })
    const names = async (app?: RequestListener) => {
      const server = http.createServer(app)
      server.on('request', (req, res) => {
        if (!res.headersSent) res.end(pulse.connectionOf(req)?.remoteAddress)
      })
      pulse.attach(server)
      await once(server.listen(0, '127.0.0.1'), 'listening')
      t.after(() => {
        server.close()
        server.closeAllConnections()
      })
      const { port } = server.address() as { port: number }
      return (await ask(t, { port, host: '127.0.0.1' }, forwardedFor('203.0.113.7')))[1]
    }
    t.after(() => pulse.detach())
    const trusting = express()
    trusting.set('trust proxy', 1)
    trusting.use(() => {})
    const other = express()
    other.use(() => {})
    assert.equal(await names(trusting), '203.0.113.7')
    assert.equal(await names(other), '127.0.0.1')
    assert.equal(await names(), '127.0.0.1')
  })

  test('is found behind a listener that calls it, once a request has passed the middleware', async (t) => {
    const app = express()
    app.set('trust proxy', 1)
    const pulse = peerpulse({ drain: false })
    app.use(pulse.middleware())
    app.use((req, res) => res.end(pulse.connectionOf(req)?.remoteAddress))
    const server = http.createServer((req, res) => app(req, res))
    pulse.attach(server)
    await once(server.listen(0, '127.0.0.1'), 'listening')
    t.after(async () => {
      await pulse.detach()
      server.close()
      server.closeAllConnections()
    })
    const { port } = server.address() as { port: number }
    assert.deepEqual(await ask(t, { port, host: '127.0.0.1' }, forwardedFor('203.0.113.7')), [
      200,
      '203.0.113.7',
    ])
  })
})

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import https from 'node:https'
import { connect, type NetConnectOpts } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, type TestContext, test } from 'node:test'
import { peerpulse } from 'peerpulse'
import { openSocket, readAll, start } from '../policies/support.js'
import { cert, key } from '../support/certificate.js'
import { ask } from '../support/probe-client.js'

const failing = () => {
  throw new Error('connect ECONNREFUSED db.internal:5432')
}

async function answerTo(t: TestContext, at: NetConnectOpts, head: string): Promise<string> {
  const socket = connect(at)
  t.after(() => socket.destroy())
  await once(socket, 'connect')
  socket.write(`GET /readyz?verbose HTTP/${head}\r\nConnection: close\r\n\r\n`)
  return readAll(socket)
}

describe('by default details are for who asks on this machine', () => {
  for (const [who, head, sees] of [
    ['curl by name', '1.1\r\nHost: localhost', true],
    ['curl by name and port', '1.1\r\nHost: LOCALHOST:3000', true],
    ['curl by a name below', '1.1\r\nHost: app.localhost:3000', true],
    ['curl by address', '1.1\r\nHost: 127.0.0.2:3000', true],
    ['curl by IPv6 address', '1.1\r\nHost: [::1]:3000', true],
    ['nginx with its defaults, to an upstream', '1.0\r\nHost: instances', false],
    ['nginx with its defaults, to an address', '1.0\r\nHost: 127.0.0.1:3000', false],
    ['a proxy that passes the Host', '1.1\r\nHost: shop.example', false],
    ['a name that only looks like it', '1.1\r\nHost: localhost.shop.example', false],
    ['an address that only looks like it', '1.1\r\nHost: 127.0.0.1.shop.example', false],
    ['nobody in particular', '1.0', false],
    ...[
      'X-Forwarded-For: 203.0.113.7',
      'X-Forwarded-For:',
      'X-Forwarded-Host: shop.example',
      'X-Forwarded-Proto: https',
      'Forwarded: for=203.0.113.7',
      'Via: 1.1 proxy',
      'X-Real-IP: 203.0.113.7',
      'CF-Connecting-IP: 203.0.113.7',
      'CF-Ray: 1',
      'True-Client-IP: 203.0.113.7',
      'X-Envoy-External-Address: 203.0.113.7',
      'X-Amzn-Trace-Id: 1',
      'Connection: upgrade',
    ].map((line) => [`a proxy that says ${line}`, `1.1\r\nHost: localhost\r\n${line}`, false] as const),
  ] as const) {
    test(`${who}: ${sees ? 'they are shown' : 'the status alone'}`, async (t) => {
      const { pulse, port } = await start(t, {})
      pulse.addCheck('database', failing)
      const text = await answerTo(t, { port, host: '127.0.0.1' }, head)
      assert.match(text, /^HTTP\/1\.1 503 /)
      assert.equal(text.includes('database'), sees)
      assert.equal(text.includes('db.internal'), sees)
    })
  }

  test('on a unix socket, where a proxy looks like a person, the status alone', async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'peerpulse-'))
    const path = join(folder, 'app')
    const pulse = peerpulse({ drain: false })
    const server = createServer((_, res) => res.end())
    pulse.attach(server)
    pulse.addCheck('database', failing)
    await once(server.listen(path), 'listening')
    t.after(async () => {
      await pulse.detach()
      server.close()
      rmSync(folder, { recursive: true })
    })
    const text = await answerTo(t, { path }, '1.1\r\nHost: localhost')
    assert.match(text, /^HTTP\/1\.1 503 /)
    assert.doesNotMatch(text, /database/)
  })

  test('over TLS as without', async (t) => {
    const pulse = peerpulse({ drain: false })
    const server = https.createServer({ key, cert }, (_, res) => res.end())
    pulse.attach(server)
    pulse.addCheck('database', failing)
    await once(server.listen(0, '127.0.0.1'), 'listening')
    t.after(async () => {
      await pulse.detach()
      server.close()
      server.closeAllConnections()
    })
    const { port } = server.address() as { port: number }
    const text = (host: string) =>
      new Promise<string>((resolve) => {
        const options = {
          port,
          host: '127.0.0.1',
          path: '/readyz?verbose',
          rejectUnauthorized: false,
          agent: false,
        }
        https.get({ ...options, headers: { host } }, (res) => {
          let body = ''
          res.on('data', (chunk) => {
            body += chunk
          })
          res.on('end', () => resolve(body))
        })
      })
    assert.match(await text('localhost'), /database/)
    assert.doesNotMatch(await text('shop.example'), /database/)
  })
})

test('under pressure details name the monitor and its value, and no client reads either', async (t) => {
  const monitor = { name: 'queue', read: () => 0.97 }
  const { pulse, port } = await start(t, {
    pressure: { memory: false, monitors: [monitor], warmUpMs: 0, dwellMs: 60_000 },
  })
  if (pulse.snapshot().pressure.level !== 'critical')
    await new Promise<void>((resolve) => void pulse.once('pressure:level', () => resolve()))
  const url = `http://127.0.0.1:${port}`
  const sheds: string[] = []
  pulse.on('shed', ({ detail }) => sheds.push(detail))

  assert.match(
    (await ask(`${url}/readyz?verbose`)).text,
    /^\[-\]pressure failed: the pressure is critical; every request is refused; queue at 97 %$/m,
  )
  const headers = { 'X-Forwarded-For': '203.0.113.7' }
  const outside = await ask(`${url}/readyz?verbose`, { headers })
  assert.doesNotMatch(outside.text + JSON.stringify(outside.headers), /queue|97/)

  const refused = await ask(url)
  assert.equal(refused.status, 503)
  assert.equal(refused.headers['peerpulse-reason'], 'shed')
  assert.match(refused.text, /^shed, retry after \d+ s\n$/)
  assert.equal(refused.headers['retry-after'], /\d+/.exec(refused.text)?.[0])
  const upgrading = await openSocket(t, port)
  upgrading.write('GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n')
  const upgrade = await readAll(upgrading)
  assert.match(
    upgrade,
    /^HTTP\/1\.1 503 .*\r\nPeerpulse-Reason: shed\r\n.*\r\n\r\nshed, retry after \d+ s\n$/s,
  )
  for (const text of [refused.text, JSON.stringify(refused.headers), upgrade])
    assert.doesNotMatch(text, /queue|97|critical|%/)
  // The operator reads both.
  assert.deepEqual(sheds, Array(2).fill('level critical, queue at 97 %'))
})

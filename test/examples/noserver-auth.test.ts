import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import { test } from 'node:test'
import { Peer, refusalOf, startExample } from '../support/example-process.js'
import { ask } from '../support/probe-client.js'
import { inTime } from '../support/wait.js'

const as = (token: string) => ({ headers: { Authorization: `Bearer ${token}` } })

test('noserver-auth: who is known comes in, by path; everybody else is refused with a status', async () => {
  await using example = await startExample('noserver-auth')
  const feed = example.webSocketUrl('/feed')
  const admin = example.webSocketUrl('/admin')

  using bob = await Peer.connect(`${feed}?page=1`, as('bob-token'))
  assert.equal(await bob.next(/./), 'hello bob, this is /feed')
  bob.send('hi')
  assert.equal(await bob.next(/./), 'bob: hi')
  using alice = await Peer.connect(admin, as('alice-token'))
  assert.equal(await alice.next(/./), 'hello alice, this is /admin')

  assert.equal(await refusalOf(feed), 401)
  assert.equal(await refusalOf(feed, as('wrong')), 401)
  assert.equal(await refusalOf(feed, { headers: { Authorization: 'bob-token' } }), 401)
  assert.equal(await refusalOf(admin, as('bob-token')), 403)
  assert.equal(await refusalOf(example.webSocketUrl('/other'), as('alice-token')), 404)

  assert.equal((await ask(`${example.url}/readyz`)).status, 200)
  assert.match((await ask(`${example.url}/`)).text, /WebSockets on/)
})

test('noserver-auth: a peer that resets while it is being authenticated does no harm', async () => {
  await using example = await startExample('noserver-auth', { AUTH_MS: '300' })
  const sockets = Array.from({ length: 10 }, () => connect(example.port, 'localhost'))
  // All at once: they need not connect in order, and an event that nobody waits for yet is missed.
  await inTime(Promise.all(sockets.map((socket) => once(socket, 'connect'))), 'ten connections')
  for (const socket of sockets) {
    socket.write(
      'GET /feed HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n' +
        'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n',
    )
  }
  // The server reads in order: once this is answered it has seen those ten, and holds them for 300 ms.
  await ask(`${example.url}/`)
  for (const socket of sockets) socket.resetAndDestroy()
  // A whole authentication later it still serves.
  using bob = await Peer.connect(example.webSocketUrl('/feed'), as('bob-token'))
  await bob.next(/hello bob/)
  assert.doesNotMatch(example.output(), /Error/)
})

test('noserver-auth: SIGTERM closes the WebSockets of every server and exits', async () => {
  await using example = await startExample('noserver-auth')
  using bob = await Peer.connect(example.webSocketUrl('/feed'), as('bob-token'))
  using alice = await Peer.connect(example.webSocketUrl('/admin'), as('alice-token'))
  example.kill('SIGTERM')
  for (const peer of [bob, alice]) {
    const { code, reason } = await peer.ended()
    assert.equal(code, 1012)
    assert.match(reason, /^drain; reconnect=\d+\.\.\d+$/)
  }
  assert.deepEqual(await example.exit(), { code: 0, signal: null })
})

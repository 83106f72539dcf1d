import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { closeReasons } from '../../lib/index.js'
import { Peer, packageRoot, startExample } from '../support/example-process.js'
import { ask } from '../support/probe-client.js'

interface Reconnect {
  parseCloseReason(
    text: string,
  ): { reason: string; window: { minMs: number; maxMs: number } | undefined } | undefined
  reconnectDelayMs(
    closed: { code: number; reason: string },
    failures: number,
    random?: () => number,
  ): number | undefined
}

const page = join(packageRoot, 'examples/chat/public')
const { parseCloseReason, reconnectDelayMs } = (await import(
  pathToFileURL(join(page, 'reconnect.js')).href
)) as Reconnect

test('chat: the server serves the page and what it imports', async () => {
  await using example = await startExample('chat')
  const index = await ask(`${example.url}/`)
  assert.match(index.headers['content-type'] ?? '', /^text\/html/)
  assert.match(index.text, /from '\.\/reconnect\.js'/)
  const script = await ask(`${example.url}/reconnect.js`)
  assert.match(script.headers['content-type'] ?? '', /^text\/javascript/)
  assert.equal((await ask(`${example.url}/readyz`)).status, 200)
})

test('chat: what one says, all hear; who is there is counted', async () => {
  await using example = await startExample('chat')
  using first = await Peer.connect(example.webSocketUrl('/chat'))
  await first.next(/"present","count":1/)
  using second = await Peer.connect(example.webSocketUrl('/chat'))
  await first.next(/"present","count":2/)
  second.send({ type: 'say', text: 'good morning' })
  for (const peer of [first, second]) {
    assert.deepEqual(JSON.parse(await peer.next(/"said"/)), { type: 'said', text: 'good morning' })
  }
  await second.close()
  await first.next(/"present","count":1/)
})

test('chat: the clock stops with its connection', async () => {
  await using example = await startExample('chat', { CLOCK_MS: '20' })
  using peer = await Peer.connect(example.webSocketUrl('/chat'))
  peer.send({ type: 'clock' })
  await peer.next(/"clock"/)
  await peer.next(/"clock"/)
  await peer.close(1000)
  await example.printed(/^clock of connection \d+ stopped: peer-closed$/m)
})

test('chat: what is no message ends its author, and nobody else', async () => {
  await using example = await startExample('chat')
  using good = await Peer.connect(example.webSocketUrl('/chat'))
  for (const bad of ['{', 'null', '{"type":"shout"}']) {
    using peer = await Peer.connect(example.webSocketUrl('/chat'))
    peer.send(bad)
    assert.equal((await peer.ended()).code, 1008, bad)
  }
  using large = await Peer.connect(example.webSocketUrl('/chat'))
  large.send('x'.repeat(20_000))
  assert.equal((await large.ended()).code, 1009)
  good.send({ type: 'say', text: 'still here' })
  await good.next(/still here/)
})

test('chat: who neither hears nor says anything is closed, and told when to come back', async () => {
  await using example = await startExample('chat', { IDLE_MS: '400' })
  using peer = await Peer.connect(example.webSocketUrl('/chat'))
  const closed = await peer.ended()
  assert.equal(closed.code, 1001)
  assert.equal(parseCloseReason(closed.reason)?.reason, 'idle-timeout')
  assert.notEqual(parseCloseReason(closed.reason)?.window, undefined)
})

test('chat: who only listens to the clock is closed too', async () => {
  await using example = await startExample('chat', { IDLE_MS: '60000', SILENT_MS: '600', CLOCK_MS: '50' })
  using peer = await Peer.connect(example.webSocketUrl('/chat'))
  peer.send({ type: 'clock' })
  await peer.next(/"clock"/)
  const closed = await peer.ended()
  assert.equal(closed.code, 1001)
  assert.equal(parseCloseReason(closed.reason)?.reason, 'idle-timeout')
  await example.printed(/^clock of connection \d+ stopped: idle-timeout$/m)
})

test('chat: SIGTERM closes every WebSocket with a reconnect window that the page understands', async () => {
  await using example = await startExample('chat')
  const peers = await Promise.all(
    Array.from({ length: 5 }, () => Peer.connect(example.webSocketUrl('/chat'))),
  )
  peers[0]?.send({ type: 'clock' })
  await peers[0]?.next(/"clock"/)
  example.kill('SIGTERM')
  for (const peer of peers) {
    const closed = await peer.ended()
    assert.equal(closed.code, 1012)
    assert.equal(parseCloseReason(closed.reason)?.reason, 'drain')
    const delay = reconnectDelayMs(closed, 0)
    assert.ok(delay !== undefined && delay >= 0 && delay <= 5_000, closed.reason)
  }
  assert.deepEqual(await example.exit(), { code: 0, signal: null })
  assert.match(example.output(), /^clock of connection \d+ stopped: drain$/m)
})

test('chat page: reads close reasons', () => {
  assert.deepEqual(parseCloseReason('drain; reconnect=0..5000'), {
    reason: 'drain',
    window: { minMs: 0, maxMs: 5000 },
  })
  for (const reason of Object.keys(closeReasons)) {
    assert.deepEqual(parseCloseReason(reason), { reason, window: undefined })
    assert.deepEqual(parseCloseReason(`${reason}; reconnect=10..20`)?.window, { minMs: 10, maxMs: 20 })
  }
  const unknown = [
    '',
    'Drain',
    'drain;',
    'drain; reconnect=5000..0',
    'drain; reconnect=-1..5',
    'drain; reconnect=1..',
    'drain; reconnect=0..5000 ',
    'unknown message',
    `drain; reconnect=0..${'9'.repeat(12)}`,
  ]
  for (const text of unknown) assert.equal(parseCloseReason(text), undefined, text)
})

test('chat page: comes back inside the window, later each time without one, and not when it is not wanted', () => {
  const drain = { code: 1012, reason: 'drain; reconnect=1000..5000' }
  assert.equal(
    reconnectDelayMs(drain, 9, () => 0),
    1000,
  )
  assert.equal(
    reconnectDelayMs(drain, 9, () => 0.5),
    3000,
  )
  assert.equal(
    reconnectDelayMs(drain, 9, () => 1),
    5000,
  )
  const delays = new Set(Array.from({ length: 50 }, () => reconnectDelayMs(drain, 0)))
  assert.ok(delays.size > 25, 'a crowd must not come back in step')

  const cut = { code: 1006, reason: '' }
  const longest = [0, 1, 2, 3, 20, 2_000].map((failures) => reconnectDelayMs(cut, failures, () => 1))
  assert.deepEqual(longest, [500, 1_000, 2_000, 4_000, 30_000, 30_000])
  assert.equal(
    reconnectDelayMs(cut, 5, () => 0),
    0,
  )

  for (const closed of [
    { code: 1000, reason: 'server-closed' },
    { code: 1000, reason: '' },
    { code: 1008, reason: 'unknown message' },
    { code: 1002, reason: 'protocol-error' },
  ]) {
    assert.equal(reconnectDelayMs(closed, 0), undefined, closed.reason)
  }
})

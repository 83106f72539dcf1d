import assert from 'node:assert/strict'
import { test } from 'node:test'
import { tickMs } from '../../lib/core/clock.js'
import { turn, until } from '../support/wait.js'
import { openWebSocket } from '../support/web-socket.js'
import { startWatched, webSocketsOpen } from './support.js'
import { tellTime } from './told-time.js'

const intervalMs = 25_000
const intervals = 4

test('busy peers are never pinged, idle ones once an interval', async (t) => {
  const time = tellTime(t)
  const { pulse, wss, port } = await startWatched(t, { heartbeat: { intervalMs, timeoutMs: 10_000 } })
  let heard = 0
  wss.on('connection', (webSocket) => {
    webSocket.on('message', (data) => {
      heard++
      webSocket.send(data)
    })
  })
  const open = () => openWebSocket(t, port)
  const busy = await Promise.all(Array.from({ length: 10 }, open))
  const idle = await Promise.all(Array.from({ length: 10 }, open))
  await webSocketsOpen(wss, 20)
  const pingedAt = new Map([...busy, ...idle].map((peer) => [peer, [] as number[]]))
  for (const [peer, times] of pingedAt) peer.webSocket.on('ping', () => times.push(time.now))

  const everybodySays = async (peers: typeof busy) => {
    const expected = heard + peers.length
    for (const { webSocket } of peers) webSocket.send('x')
    await until(() => heard === expected, 'the messages')
  }
  // A little more, so that the last ping is not due at the very end.
  const end = intervals * intervalMs + 2_000
  while (time.now < end) {
    time.tick()
    await turn()
    const { pings, pongs } = pulse.snapshot().totals
    // In each interval, and as late as that allows.
    if (time.now % (intervalMs - tickMs) === 0) await everybodySays(busy)
    if (pings > pongs) await until(() => pulse.snapshot().totals.pongs >= pings, 'the pongs')
  }
  // Their echoes come behind every ping that was written.
  await everybodySays([...busy, ...idle])
  const echoes = (intervals + 1) * busy.length + idle.length
  await until(
    () => [...pingedAt.keys()].reduce((sum, { messages }) => sum + messages.length, 0) === echoes,
    'the echoes',
  )

  for (const peer of busy) assert.deepEqual(pingedAt.get(peer), [])
  for (const peer of idle) {
    const times = pingedAt.get(peer) ?? []
    assert.equal(times.length, intervals, `pings at ${times}`)
    for (const [i, at] of times.entries())
      assert.ok(at - (times[i - 1] ?? 0) >= intervalMs, `pings at ${times}`)
  }
  assert.equal(pulse.snapshot().totals.pings, intervals * idle.length)
})

import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { WebSocketServer } from 'ws'
import { peerpulse } from '../../lib/index.js'
import { tellTime } from '../guards/told-time.js'
import { startServer } from '../support/servers.js'
import { turn, until } from '../support/wait.js'
import { Closes } from '../support/watched.js'
import { openWebSocket } from '../support/web-socket.js'

const maxAgeMs = 20_000
const peers = 40
/** A tick for what is due, and one for the turn in which it opened. */
const roundingMs = 200

/** How old each of some peers, which came together, is when it is closed. */
async function agesAtClose(t: TestContext, jitter: number): Promise<number[]> {
  const time = tellTime(t)
  const pulse = peerpulse({ drain: false, heartbeat: false, lifetime: { maxAgeMs, jitter } })
  t.after(() => pulse.detach())
  const closes = new Closes(pulse)
  const { server, port } = await startServer(t)
  const wss = new WebSocketServer({ server })
  pulse.attach(server, wss)
  const opened = await Promise.all(Array.from({ length: peers }, () => openWebSocket(t, port)))
  await until(() => wss.clients.size === peers, 'the peers')
  const from = time.now
  while (time.now < from + maxAgeMs + 5 * roundingMs) {
    time.tick()
    await turn()
    const isClosing = () => [...pulse.connections()].some(({ state }) => state === 'closing')
    if (isClosing()) await until(() => !isClosing(), 'the close frames')
  }
  assert.equal(closes.all.length, peers)
  for (const { reason } of closes.all) assert.equal(reason, 'lifetime')
  await Promise.all(opened.map(({ closed }) => closed))
  return closes.all.map(({ connection }) => connection.evidence?.ageMs ?? 0).sort((a, b) => a - b)
}

test('without jitter, peers that came together go together', async (t) => {
  for (const age of await agesAtClose(t, 0)) {
    assert.ok(age >= maxAgeMs && age <= maxAgeMs + roundingMs, `${age} ms`)
  }
})

test('with jitter they go spread over that part of their time, and none later than it may', async (t) => {
  const jitter = 0.5
  const ages = await agesAtClose(t, jitter)
  const shortest = maxAgeMs * (1 - jitter)
  t.diagnostic(`from ${ages[0]} to ${ages.at(-1)} ms`)
  const parts = 5
  const counts = new Array<number>(parts).fill(0)
  for (const age of ages) {
    assert.ok(age >= shortest && age <= maxAgeMs + roundingMs, `${age} ms`)
    const part = Math.floor(((age - shortest) / (maxAgeMs - shortest)) * parts)
    const at = Math.min(parts - 1, part)
    counts[at] = (counts[at] ?? 0) + 1
  }
  // Evenly would be 8 in each.
  for (const count of counts) assert.ok(count >= 4 && count <= 12, `${counts}`)
})

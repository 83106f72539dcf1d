import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { describe, type TestContext, test } from 'node:test'
import { peerpulse } from '../../lib/index.js'
import { ask, listen, shut } from '../support/probe-client.js'
import { until } from '../support/wait.js'

test('everybody is served again also where memory stays a little below the threshold of refusal', async () => {
  let value = 0.5
  const pulse = peerpulse({
    drain: false,
    log: false,
    pressure: {
      monitors: [{ name: 'heap', read: () => value }],
      memory: { limitBytes: 2 ** 40 },
      eventLoop: false,
      dwellMs: 100,
      warmUpMs: 0,
    },
  })
  pulse.on('warning', () => {})
  const server = createServer((_req, res) => res.end())
  pulse.attach(server)
  const url = await listen(server)
  try {
    const isServed = async () => (await ask(url)).status === 200
    value = 0.95
    await until(async () => !(await isServed()), 'a refusal')
    value = 0.83
    await until(isServed, 'an answer')
    // So many at once are above what is let in at first, and each time some are refused, more have to be.
    await until(
      async () => (await Promise.all(Array.from({ length: 100 }, isServed))).every(Boolean),
      'all to be served',
    )
    assert.equal(pulse.snapshot().pressure.level, 'elevated')
  } finally {
    await pulse.detach()
    await shut(server)
  }
})

describe('with an action that begins far below the refusal', () => {
  /** A pulse whose timeouts are shortened from 0.3 on; `values` are what its monitors read. */
  async function start(t: TestContext, values: { heap: number; other: number }) {
    const pulse = peerpulse({
      drain: false,
      log: false,
      pressure: {
        monitors: [
          { name: 'heap', read: () => values.heap },
          { name: 'other', read: () => values.other },
        ],
        memory: { limitBytes: 2 ** 40 },
        eventLoop: false,
        dwellMs: 100,
        warmUpMs: 0,
        actions: { shortenTimeouts: 0.3 },
      },
    })
    pulse.on('warning', () => {})
    const server = createServer((_req, res) => res.end())
    pulse.attach(server)
    const url = await listen(server)
    t.after(async () => {
      await pulse.detach()
      await shut(server)
    })
    return { pulse, isRefused: async () => (await ask(url)).status === 503 }
  }

  test('memory that was short is opened to a few at a time, also where something else reads more afterwards', async (t) => {
    const values = { heap: 0.95, other: 0.4 }
    const { pulse, isRefused } = await start(t, values)
    await until(isRefused, 'a refusal')
    values.heap = 0.2
    await until(
      () => pulse.snapshot().pressure.actions.refuseRequests?.active === false,
      'the end of the refusal',
    )
    const refused = await Promise.all(Array.from({ length: 100 }, isRefused))
    assert.ok(refused.includes(true))
  })

  test('what was no memory is over at once, also where memory reads more afterwards', async (t) => {
    const values = { heap: 0.4, other: 0.95 }
    const { pulse, isRefused } = await start(t, values)
    await until(isRefused, 'a refusal')
    values.other = 0.2
    await until(
      () => pulse.snapshot().pressure.actions.refuseRequests?.active === false,
      'the end of the refusal',
    )
    const refused = await Promise.all(Array.from({ length: 100 }, isRefused))
    assert.ok(!refused.includes(true))
  })
})

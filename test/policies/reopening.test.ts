import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { test } from 'node:test'
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

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import { WebSocket } from 'ws'
import { startExample } from '../support/example-process.js'
import { ask } from '../support/probe-client.js'

test('small-box: who stops reading is closed as slow-consumer, and who reads is not', async () => {
  await using example = await startExample('small-box', { FEED: 'all' })
  const stopped = new WebSocket(example.webSocketUrl('/feed'))
  const reader = new WebSocket(example.webSocketUrl('/feed'))
  stopped.on('error', () => {})
  stopped.on('message', () => stopped.pause())
  await once(reader, 'message')
  await example.printed(/^connection \d+ closed: slow-consumer, \d+ bytes unsent$/m)
  assert.equal(reader.readyState, WebSocket.OPEN)
  await once(reader, 'message')
  reader.terminate()
  stopped.terminate()
})

test('small-box: on a box that is too small it says so, refuses, and serves who pays for longer', async () => {
  // After the warm-up of 10 s.
  await using example = await startExample('small-box', { LIMIT_MIB: '40' })
  await example.printed(/^peerpulse: pressure is critical \(was \w+\): (rss|heap|container) at \d+ %; /m)
  const refused = await ask(`${example.url}/`)
  assert.equal(refused.status, 503)
  assert.equal(refused.headers['peerpulse-reason'], 'shed')
  assert.equal((await ask(`${example.url}/livez`)).status, 200)
})

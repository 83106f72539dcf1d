import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Peer, refusalOf, startExample } from '../support/example-process.js'
import { ask, health } from '../support/probe-client.js'
import { until } from '../support/wait.js'

test('express-basic: routes, probes and the readiness check', async () => {
  await using example = await startExample('express-basic')
  const { url } = example

  assert.deepEqual(JSON.parse((await ask(`${url}/`)).text), { hello: 'world' })
  assert.equal((await ask(`${url}/nothing`)).status, 404)
  for (const probe of ['livez', 'readyz', 'startupz']) {
    const answer = await ask(`${url}/${probe}`)
    assert.equal(answer.status, 200, probe)
    assert.equal(health(answer).status, 'pass')
  }
  assert.match((await ask(`${url}/readyz?verbose`)).text, /^\[\+\]database ok$/m)

  await ask(`${url}/database/down`, { method: 'POST' })
  await until(async () => (await ask(`${url}/readyz`)).status === 503, 'readiness without the database')
  assert.match((await ask(`${url}/readyz?verbose`)).text, /^\[-\]database failed: connection refused$/m)
  assert.equal((await ask(`${url}/livez`)).status, 200)

  await ask(`${url}/database/up`, { method: 'POST' })
  await until(async () => (await ask(`${url}/readyz`)).status === 200, 'readiness with the database')
})

test('express-basic: SIGTERM cuts nobody off', async () => {
  await using example = await startExample('express-basic')
  const { url } = example
  using peer = await Peer.connect(example.webSocketUrl('/echo'))
  peer.send('are you there')
  assert.equal(await peer.next(/./), 'are you there')

  // Asked before the signal, and answered while the server drains: it takes longer than the readiness delay of 5 s.
  const slow = ask(`${url}/slow?ms=6500`)
  // The slow request shares no connection with this one; when this one is answered, that one is in the app.
  await ask(`${url}/`)
  example.kill('SIGTERM')
  await until(async () => (await ask(`${url}/readyz`)).status === 503, 'readiness to fail')
  assert.equal((await ask(`${url}/livez`)).status, 200)
  const served = await ask(`${url}/`)
  assert.equal(served.status, 200)
  assert.equal(served.headers.connection, 'close')

  const { code, reason } = await peer.ended()
  assert.equal(code, 1012)
  assert.match(reason, /^drain; reconnect=\d+\.\.\d+$/)
  assert.deepEqual(JSON.parse((await slow).text), { waitedMs: 6500 })
  assert.deepEqual(await example.exit(), { code: 0, signal: null })
})

test('express-basic: a second signal, a second later, ends it at once', async () => {
  await using example = await startExample('express-basic')
  using _peer = await Peer.connect(example.webSocketUrl('/echo'))
  example.kill('SIGTERM')
  await until(async () => (await ask(`${example.url}/readyz`)).status === 503, 'readiness to fail')
  let isOver = false
  const exit = example.exit().finally(() => {
    isOver = true
  })
  // Within a second it is the same stop.
  await until(() => {
    if (!isOver) example.kill('SIGTERM')
    return isOver
  }, 'the exit')
  assert.deepEqual(await exit, { code: 128 + 15, signal: null })
})

test('express-basic: only /echo is a WebSocket', async () => {
  await using example = await startExample('express-basic')
  assert.equal(await refusalOf(example.webSocketUrl('/')), 400)
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startExample } from '../support/example-process.js'
import { until } from '../support/wait.js'
import { Load } from '../system/load.js'

const webSockets = 20

test('cluster: all workers are replaced under load, and no client notices', async () => {
  await using example = await startExample('cluster')
  const load = new Load(example.port)
  try {
    load.start(5, webSockets)
    await until(() => load.open === webSockets, 'all WebSockets')
    example.kill('SIGHUP')
    await example.printed(/^replaced 2 workers$/m)
    await until(() => load.open === webSockets, 'all WebSockets again')
    await until(() => load.waiting === 0, 'an echo for each')
  } finally {
    await load.stop()
  }
  const { requests, failed, closes } = load.seen
  assert.ok(requests > 0)
  assert.deepEqual(failed, {})
  // Whoever came back to a worker whose turn came later was told twice.
  assert.ok((closes[1012] ?? 0) >= webSockets, JSON.stringify(closes))
  assert.deepEqual(Object.keys(closes), ['1012'])
})

test('cluster: SIGTERM to the primary drains every worker', async () => {
  await using example = await startExample('cluster')
  const load = new Load(example.port)
  load.start(0, 5)
  await until(() => load.open === 5, 'all WebSockets')
  example.kill('SIGTERM')
  assert.deepEqual(await example.exit(), { code: 0, signal: null })
  await until(() => Object.keys(load.seen.closes).length > 0, 'close frames')
  await load.stop()
  assert.equal(load.seen.closes[1012], 5)
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { WebSocket } from 'ws'
import { startChild } from '../support/child.js'
import { until } from '../support/wait.js'

const fixture = new URL('burst-process.js', import.meta.url)

test('after a burst that took all the memory everything is served again, and it is never ready while all is refused', async (t) => {
  const { port } = await startChild(t, fixture, [])
  const status = async (path: string) => (await fetch(`http://127.0.0.1:${port}${path}`)).status
  assert.equal(await status('/burst'), 200)
  await until(async () => (await status('/')) === 503, 'the memory to be short')
  await until(async () => {
    const before = await status('/')
    const ready = await status('/readyz')
    // Between two refusals nothing was served.
    if (before === 503 && (await status('/')) === 503)
      assert.equal(ready, 503, 'ready, and refuses everything')
    return before === 200
  }, 'a request to be served again')
  assert.equal(await until(async () => (await status('/readyz')) === 200, 'readiness'), true)
  await until(() => upgrades(port), 'an upgrade to be served again')
})

function upgrades(port: number): Promise<boolean> {
  const client = new WebSocket(`ws://127.0.0.1:${port}`)
  return new Promise((resolve) => {
    client.on('error', () => resolve(false))
    client.on('open', () => {
      client.terminate()
      resolve(true)
    })
  })
}

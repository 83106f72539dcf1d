import assert from 'node:assert/strict'
import type { Socket } from 'node:net'
import { test } from 'node:test'
import type { Feature } from '../../lib/core/feature.js'
import { Lifecycle, type LifecycleParts } from '../../lib/core/lifecycle.js'
import { until } from '../support/wait.js'

test("one room's exception stops no other room, neither in a tick nor in the life of a connection", async (t) => {
  const told: string[] = []
  const errors: unknown[] = []
  const hooks = ['opened', 'look', 'closed', 'tick', 'stop'] as const
  const featureOf = (hook: (name: string) => void): Feature => ({
    name: 'toy',
    ...Object.fromEntries(hooks.map((name) => [name, () => hook(name)])),
  })
  const lifecycle = new Lifecycle({
    reports: { failed: (error: unknown) => errors.push(error) },
    idle: false,
    firstTransport: {
      protocolOf: () => 'http1',
      phaseOf: () => 'keep-alive',
      bytesRead: () => 0,
      bytesWritten: () => 0,
      // The app has patched what it reads.
      reasonOf: () => assert.fail('a getter throws'),
    },
    watch() {},
    policies: () => [],
    door: () => ({ turnsAway: () => false, judge() {} }),
    evidence: () => assert.fail('never asked'),
  } as unknown as LifecycleParts)
  lifecycle.use(
    featureOf((name) => {
      throw new Error(`${name} throws`)
    }),
  )
  lifecycle.use(featureOf((name) => told.push(name)))
  t.after(() => lifecycle.clock.stop())
  lifecycle.clock.start()
  const connection = lifecycle.accept({ remoteAddress: '127.0.0.1' } as Socket, false) ?? assert.fail()
  assert.deepEqual(told, ['opened'])
  await until(() => told.filter((name) => name === 'tick').length >= 2, 'two ticks')
  assert.ok(told.includes('look'))
  lifecycle.use({ name: 'finder', look: (found) => lifecycle.closed(found) })
  lifecycle.use({ name: 'late', look: () => told.push('looked at when it was closed') })
  await until(() => connection.state === 'closed', 'it to be found gone')
  assert.ok(told.includes('closed'))
  assert.ok(!told.includes('looked at when it was closed'))
  assert.equal(connection.state, 'closed')
  assert.equal(connection.closeReason, 'server-error')
  assert.equal(lifecycle.registry.size, 0)
  assert.ok(errors.some((error) => (error as Error).message === 'a getter throws'))
  await lifecycle.stop()
  assert.equal(told.at(-1), 'stop')
  assert.ok(errors.some((error) => (error as Error).message === 'stop throws'))
})

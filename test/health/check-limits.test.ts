import assert from 'node:assert/strict'
import { test } from 'node:test'
import { AbortGuard } from '../../lib/core/abort-guard.js'
import { Clock } from '../../lib/core/clock.js'
import { Checks } from '../../lib/health/checks.js'
import type { ProbeAnswer } from '../../types/health.js'
import { FakeTime } from '../core/fake-time.js'
import { turn } from '../support/wait.js'

test('a check has its time limit in real time: a busy loop does not stretch it', async () => {
  const time = new FakeTime()
  const clock = new Clock(() => {}, time)
  const checks = new Checks({
    clock,
    aborts: new AbortGuard(() => {}),
    timeoutMs: 900,
    cacheMs: 0,
    onChange() {},
  })
  checks.add('hangs', () => new Promise(() => {}), {}, [])
  checks.add('hangs-longer', () => new Promise(() => {}), { timeoutMs: 5_000 }, [])
  const state = { answer: undefined as ProbeAnswer | undefined }
  void checks
    .answer('readyz', () => true)
    .then((answer) => {
      state.answer = answer
    })
  // Blocks of a quarter of a second, each of which is one tick of credited time.
  for (let blocked = 250; blocked <= 750; blocked += 250) {
    time.block(250)
    time.poll()
    await turn()
    assert.equal(state.answer, undefined, `after ${blocked} ms`)
  }
  time.block(250)
  time.poll()
  await turn()
  assert.equal(state.answer?.checks.hangs?.output, 'no answer in 900 ms')
  assert.match(state.answer?.checks['hangs-longer']?.output ?? '', /^no answer yet/)
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Events } from '../../lib/core/events.js'
import { Warnings } from '../../lib/core/warnings.js'

function tell() {
  const state = { now: 0, lines: [] as string[], heard: 0 }
  const events = new Events(() => {})
  events.on('warning', () => state.heard++)
  const write = (_fields: object, message: string) => state.lines.push(message)
  const warnings = new Warnings(
    () => events,
    { info: write, warn: write, error: write },
    () => state.now,
  )
  return { state, warnings }
}

test('of one code 20 warnings a minute are logged; listeners hear all of them', () => {
  const { state, warnings } = tell()
  for (let i = 0; i < 50; i++) warnings.warn('PEERPULSE_WARN_LEAK', `leak ${i}`)
  assert.equal(state.lines.length, 20)
  assert.equal(state.heard, 50)
  warnings.warn('PEERPULSE_WARN_DRY_RUN', 'another code')
  assert.equal(state.lines.at(-1), 'peerpulse: another code')
  state.now = 59_900
  warnings.warn('PEERPULSE_WARN_LEAK', 'too soon')
  assert.equal(state.lines.length, 21)
  state.now = 60_000
  for (let i = 0; i < 50; i++) warnings.warn('PEERPULSE_WARN_LEAK', `again ${i}`)
  assert.equal(state.lines.length, 41)
})

test('a callback that goes on failing is told of once a minute, and counted every time', () => {
  const { state, warnings } = tell()
  for (let i = 0; i < 10; i++) warnings.callbackFailed('pressure.priority', new Error('once more'))
  warnings.callbackFailed('probes.details', new Error('another'))
  assert.deepEqual(state.lines, [
    'peerpulse: pressure.priority threw: once more',
    'peerpulse: probes.details threw: another',
  ])
  assert.equal(warnings.callbackErrors, 11)
  state.now = 60_000
  for (let i = 0; i < 10; i++) warnings.callbackFailed('pressure.priority', new Error('once more'))
  assert.equal(state.lines.length, 3)
})

test('labels made of user input are not remembered without end', () => {
  const { state, warnings } = tell()
  for (let i = 0; i < 5_000; i++) warnings.callbackFailed(`cleanup of '${i}'`, new Error('no'))
  warnings.callbackFailed("cleanup of '4999'", new Error('no'))
  assert.equal(state.heard, 5_000)
  warnings.callbackFailed("cleanup of '0'", new Error('no'))
  assert.equal(state.heard, 5_001, 'the oldest was forgotten')
})

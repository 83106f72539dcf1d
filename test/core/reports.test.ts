import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Reports } from '../../lib/core/reports/reports.js'

function tell() {
  const state = { now: 0, lines: [] as string[], heard: 0 }
  const write = (_fields: object, message: string) => state.lines.push(message)
  const reports = new Reports({ info: write, warn: write, error: write }, () => state.now)
  reports.events.on('warning', () => state.heard++)
  return { state, reports }
}

test('of one code 20 warnings a minute are logged; listeners hear all of them', () => {
  const { state, reports } = tell()
  for (let i = 0; i < 50; i++) reports.warn('PEERPULSE_WARN_LEAK', `leak ${i}`)
  assert.equal(state.lines.length, 20)
  assert.equal(state.heard, 50)
  reports.warn('PEERPULSE_WARN_DRY_RUN', 'another code')
  assert.equal(state.lines.at(-1), 'peerpulse: another code')
  state.now = 59_900
  reports.warn('PEERPULSE_WARN_LEAK', 'too soon')
  assert.equal(state.lines.length, 21)
  state.now = 60_000
  for (let i = 0; i < 50; i++) reports.warn('PEERPULSE_WARN_LEAK', `again ${i}`)
  assert.equal(state.lines.length, 41)
})

test('a callback that goes on failing is told of once a minute, and counted every time', () => {
  const { state, reports } = tell()
  for (let i = 0; i < 10; i++) reports.callbackFailed('pressure.priority', new Error('once more'))
  reports.callbackFailed('probes.details', new Error('another'))
  assert.deepEqual(state.lines, [
    'peerpulse: pressure.priority threw: once more',
    'peerpulse: probes.details threw: another',
  ])
  assert.equal(reports.callbackErrors, 11)
  state.now = 60_000
  for (let i = 0; i < 10; i++) reports.callbackFailed('pressure.priority', new Error('once more'))
  assert.equal(state.lines.length, 3)
})

test('an event that nobody listens to costs its listeners nothing, and one that throws is told of', () => {
  const { state, reports } = tell()
  reports.emit('stall', { at: 0, ms: 100, ongoing: false })
  assert.deepEqual(state.lines, [])
  reports.events.on('stall', () => assert.fail('the app'))
  reports.emit('stall', { at: 0, ms: 100, ongoing: false })
  assert.deepEqual(state.lines, ['peerpulse: stall listener threw: the app'])
})

test('labels made of user input are not remembered without end', () => {
  const { state, reports } = tell()
  for (let i = 0; i < 5_000; i++) reports.callbackFailed(`cleanup of '${i}'`, new Error('no'))
  reports.callbackFailed("cleanup of '4999'", new Error('no'))
  assert.equal(state.heard, 5_000)
  reports.callbackFailed("cleanup of '0'", new Error('no'))
  assert.equal(state.heard, 5_001, 'the oldest was forgotten')
})

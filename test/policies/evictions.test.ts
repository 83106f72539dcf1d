import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { PeerConnection } from '../../lib/core/connection.js'
import { Endings } from '../../lib/core/endings.js'
import type { Registry } from '../../lib/core/registry.js'
import { Evictions } from '../../lib/policies/evictions.js'
import type { PressureAction } from '../../lib/policies/pressure-actions.js'

const second = 1_000

/** A thousand idle peers, and how many were closed at each second, while the action is on. */
function idlePeers(pressureAt: (second: number) => number, collectionsAt?: (second: number) => number) {
  const peers: { state: string }[] = Array.from({ length: 1_000 }, () => ({
    state: 'open',
    active: -60 * second,
    congested: false,
    transport: { isBusy: () => false },
    close() {
      this.state = 'closing'
    },
  }))
  const registry = { all: () => peers as unknown as PeerConnection[] } as unknown as Registry
  const action = { active: true, count: 0 } as PressureAction
  const evictions = new Evictions(registry, new Endings(false, assert.fail), action)
  return {
    closedAt(seconds: number): number[] {
      const at: number[] = []
      for (let i = 0, before = 0; i < seconds; i++, before = action.count) {
        evictions.update(i * second, pressureAt(i), collectionsAt?.(i))
        if (action.count > before) at.push(i)
      }
      return at
    },
    get count() {
      return action.count
    },
  }
}

test('idle peers are not closed for garbage: only after a collection has shown that the memory is held', () => {
  const peers = idlePeers(
    () => 0.97,
    (i) => Math.floor(i / 5),
  )
  assert.deepEqual(peers.closedAt(21), [5, 10, 15, 20])
  assert.equal(peers.count, 4 * 64)
})

test('where closing idle peers does not lower the pressure, it is tried more and more seldom', () => {
  const stuck = idlePeers(() => 1).closedAt(60)
  assert.ok(stuck.length <= 6, `closed at ${stuck}`)
  const helped = idlePeers((i) => 1 - i / 1_000).closedAt(10)
  assert.deepEqual(helped, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
})

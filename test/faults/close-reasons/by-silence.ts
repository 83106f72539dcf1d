/** The peer is silent, or too slow. */
import assert from 'node:assert/strict'
import { request } from '../../support/frames.js'
import { connectTcp, requestRaw } from '../../support/raw-peer.js'
import { pause } from '../../support/wait.js'
import { afterUpgrade, goodWebSocket, raw, rawWebSocket, type Scenario } from './world.js'

export const bySilence: Scenario[] = [
  {
    what: 'a WebSocket client that does not answer',
    reason: 'half-open',
    setting: 'heartbeat',
    phase: 'established',
    async run(world) {
      const peer = await rawWebSocket(world)
      peer.pause()
      return peer.port
    },
  },
  {
    what: 'a WebSocket without traffic',
    reason: 'idle-timeout',
    setting: 'plain',
    async run(world) {
      const peer = await goodWebSocket(world, '/idle')
      assert.equal((await peer.closed).code, 1001)
      return peer.port
    },
  },
  {
    what: "Node's keep-alive timer",
    reason: 'idle-timeout',
    setting: 'keep-alive',
    phase: 'keep-alive',
    async run(world) {
      const peer = await raw(world)
      await requestRaw(peer)
      await peer.gone()
      return peer.port
    },
  },
  {
    what: 'a WebSocket at its maximum age',
    reason: 'lifetime',
    setting: 'lifetime',
    async run(world) {
      const peer = await goodWebSocket(world)
      assert.equal((await peer.closed).code, 1001)
      return peer.port
    },
  },
  {
    what: 'a pooled connection at its maximum age',
    reason: 'lifetime',
    setting: 'lifetime',
    async run(world) {
      const peer = await raw(world)
      while (!/connection: close/i.test(await requestRaw(peer))) await pause(50)
      await peer.gone()
      return peer.port
    },
  },
  {
    what: 'a WebSocket client that does not read',
    reason: 'slow-consumer',
    setting: 'budget',
    async run(world) {
      const peer = await rawWebSocket(world, '/flood')
      peer.pause()
      return peer.port
    },
  },
  {
    what: 'a response that is not read',
    reason: 'slow-consumer',
    setting: 'budget',
    phase: 'request',
    async run(world) {
      const peer = await raw(world)
      peer.write(request('/flood'))
      peer.pause()
      return peer.port
    },
  },
  {
    what: 'an upgrade that the app never completes',
    reason: 'handshake-timeout',
    setting: 'handshake',
    phase: 'upgrade',
    run: afterUpgrade('/upgrade-hangs'),
  },
  {
    what: 'a connection without a request',
    reason: 'handshake-timeout',
    setting: 'handshake',
    phase: 'awaiting-request',
    run: async (world) => (await raw(world)).port,
  },
  {
    what: 'half a request head',
    reason: 'handshake-timeout',
    setting: 'handshake',
    async run(world) {
      const peer = await raw(world)
      peer.write('GET / HTTP/1.1\r\nHost: local')
      return peer.port
    },
  },
  {
    what: 'a TLS handshake that never begins',
    reason: 'handshake-timeout',
    setting: 'handshake',
    phase: 'tls-handshake',
    only: 'https',
    run: async ({ scope, port }) => (await connectTcp(scope, port)).port,
  },
]

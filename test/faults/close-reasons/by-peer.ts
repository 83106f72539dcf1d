/** The peer ends it: a close frame, FIN or reset, at any point of its life. */
import assert from 'node:assert/strict'
import { clientFrame, opcodes, request, upgradeRequest } from '../../support/frames.js'
import { connectTcp, requestRaw } from '../../support/raw-peer.js'
import { until } from '../../support/wait.js'
import { find, goodWebSocket, raw, rawWebSocket, type Scenario, untilPhase } from './world.js'

export const byPeer: Scenario[] = [
  {
    what: 'a WebSocket client closes',
    reason: 'peer-closed',
    setting: 'plain',
    phase: 'established',
    async run(world) {
      const peer = await goodWebSocket(world)
      peer.webSocket.close(1000, 'bye')
      assert.equal((await peer.closed).code, 1000)
      return peer.port
    },
  },
  {
    what: 'a WebSocket client sends a close frame and its FIN at once',
    reason: 'peer-closed',
    setting: 'plain',
    async run(world) {
      const peer = await rawWebSocket(world)
      peer.write(clientFrame(opcodes.close, Buffer.from([0x03, 0xe8])))
      peer.end()
      return peer.port
    },
  },
  {
    what: 'a WebSocket client sends a close frame and resets',
    reason: 'peer-closed',
    setting: 'plain',
    async run(world) {
      const peer = await rawWebSocket(world)
      peer.write(clientFrame(opcodes.close, Buffer.from([0x03, 0xe8])))
      await until(() => peer.received.length > 0, 'the answer to the close frame')
      peer.reset()
      return peer.port
    },
  },
  {
    what: 'FIN after a response',
    reason: 'peer-closed',
    setting: 'plain',
    phase: 'keep-alive',
    async run(world) {
      const peer = await raw(world)
      await requestRaw(peer)
      await requestRaw(peer)
      peer.end()
      return peer.port
    },
  },
  {
    what: 'FIN before any request',
    reason: 'peer-closed',
    setting: 'plain',
    phase: 'awaiting-request',
    async run(world) {
      const peer = await raw(world)
      await untilPhase(world, peer.port, 'awaiting-request')
      peer.end()
      return peer.port
    },
  },
  {
    what: 'FIN before a TLS handshake (the check of a balancer)',
    reason: 'peer-closed',
    setting: 'plain',
    phase: 'tls-handshake',
    only: 'https',
    async run(world) {
      const peer = await connectTcp(world.scope, world.port)
      await untilPhase(world, peer.port, 'tls-handshake')
      peer.end()
      return peer.port
    },
  },
  {
    what: 'FIN in the middle of a TLS handshake',
    reason: 'peer-ended',
    setting: 'plain',
    phase: 'tls-handshake',
    only: 'https',
    async run(world) {
      const peer = await connectTcp(world.scope, world.port)
      // The head of a ClientHello.
      peer.write(Buffer.from([22, 3, 1, 2, 0, 1]))
      await until(() => (find(world, peer.port)?.bytesRead ?? 0) > 0, 'the half of a ClientHello')
      peer.end()
      return peer.port
    },
  },
  {
    what: 'FIN without a close frame',
    reason: 'peer-ended',
    setting: 'plain',
    phase: 'established',
    async run(world) {
      const peer = await rawWebSocket(world)
      peer.write(clientFrame(opcodes.text, 'hello'))
      peer.end()
      return peer.port
    },
  },
  // Over plain TCP nobody reads meanwhile, so the FIN is not heard, and the handshake's deadline ends it.
  ...(['http', 'https'] as const).map(
    (only): Scenario => ({
      what: 'FIN while the upgrade waits',
      reason: only === 'https' ? 'peer-ended' : 'handshake-timeout',
      setting: only === 'https' ? 'plain' : 'handshake',
      only,
      phase: 'upgrade',
      async run(world) {
        const peer = await raw(world)
        peer.write(upgradeRequest('/upgrade-hangs'))
        await untilPhase(world, peer.port, 'upgrade')
        peer.end()
        return peer.port
      },
    }),
  ),
  {
    what: 'FIN in the middle of a request head',
    reason: 'peer-ended',
    setting: 'plain',
    phase: 'awaiting-request',
    async run(world) {
      const peer = await raw(world)
      peer.write('GET / HTTP/1.1\r\nHost: local')
      peer.end()
      return peer.port
    },
  },
  {
    what: 'FIN in the middle of a second request head',
    reason: 'peer-ended',
    setting: 'plain',
    async run(world) {
      const peer = await raw(world)
      await requestRaw(peer)
      peer.write('GET / HTTP/1.1\r\nHost: local')
      peer.end()
      return peer.port
    },
  },
  {
    what: 'FIN in the middle of a request body',
    reason: 'peer-ended',
    setting: 'plain',
    phase: 'request',
    async run(world) {
      const peer = await raw(world)
      peer.write(`${request('/hang', { 'Content-Length': '100' }, 'POST')}half of it`)
      await untilPhase(world, peer.port, 'request')
      peer.end()
      return peer.port
    },
  },
  {
    what: 'FIN in the middle of a response',
    reason: 'peer-ended',
    setting: 'plain',
    phase: 'request',
    async run(world) {
      const peer = await raw(world)
      peer.write(request('/half'))
      await peer.expect('half of it')
      peer.end()
      return peer.port
    },
  },
  {
    what: 'reset of a WebSocket',
    reason: 'peer-reset',
    setting: 'plain',
    phase: 'established',
    async run(world) {
      const peer = await rawWebSocket(world)
      peer.reset()
      return peer.port
    },
  },
  {
    what: 'reset of a WebSocket after a message',
    reason: 'peer-reset',
    setting: 'plain',
    async run(world) {
      const peer = await rawWebSocket(world, '/echo')
      peer.write(clientFrame(opcodes.text, 'hello'))
      // Bytes and a reset that are read in one turn of the loop look like a FIN: libuv does not read on.
      await peer.expect('hello')
      peer.reset()
      return peer.port
    },
  },
  {
    what: 'reset while the upgrade waits',
    reason: 'peer-reset',
    setting: 'plain',
    phase: 'upgrade',
    async run(world) {
      const peer = await raw(world)
      peer.write(upgradeRequest('/upgrade-hangs'))
      await untilPhase(world, peer.port, 'upgrade')
      peer.reset()
      return peer.port
    },
  },
  {
    what: 'reset between requests',
    reason: 'peer-reset',
    setting: 'plain',
    phase: 'keep-alive',
    async run(world) {
      const peer = await raw(world)
      await requestRaw(peer)
      peer.reset()
      return peer.port
    },
  },
  {
    what: 'reset in the middle of a request head',
    reason: 'peer-reset',
    setting: 'plain',
    phase: 'awaiting-request',
    async run(world) {
      const peer = await raw(world)
      peer.write('GET / HTTP/1.1\r\nHost: local')
      await untilPhase(world, peer.port, 'awaiting-request')
      await until(() => (find(world, peer.port)?.bytesRead ?? 0) > 0, 'the half of a request')
      peer.reset()
      return peer.port
    },
  },
  {
    what: 'reset in the middle of a response',
    reason: 'peer-reset',
    setting: 'plain',
    phase: 'request',
    async run(world) {
      const peer = await raw(world)
      peer.write(request('/half'))
      await peer.expect('half of it')
      peer.reset()
      return peer.port
    },
  },
  {
    what: 'reset in the middle of a large response',
    reason: 'peer-reset',
    setting: 'plain',
    phase: 'request',
    async run(world) {
      const peer = await raw(world)
      peer.write(request('/large'))
      await peer.expect('\r\n\r\n')
      peer.pause()
      peer.reset()
      return peer.port
    },
  },
  {
    what: 'reset in the middle of the TLS handshake',
    reason: 'peer-reset',
    setting: 'plain',
    phase: 'tls-handshake',
    only: 'https',
    async run(world) {
      const peer = await connectTcp(world.scope, world.port)
      await untilPhase(world, peer.port, 'tls-handshake')
      peer.reset()
      return peer.port
    },
  },
]

/** The app ends it. */
import assert from 'node:assert/strict'
import { request, upgradeRequest } from '../../support/frames.js'
import { requestRaw } from '../../support/raw-peer.js'
import { until } from '../../support/wait.js'
import { afterRequest, afterUpgrade, goodWebSocket, raw, rawWebSocket, type Scenario } from './world.js'

export const byApp: Scenario[] = [
  {
    what: 'the app closes a WebSocket',
    reason: 'server-closed',
    setting: 'plain',
    async run(world) {
      const peer = await goodWebSocket(world, '/close')
      assert.equal((await peer.closed).code, 1000)
      return peer.port
    },
  },
  {
    what: 'the app closes a WebSocket whose peer answers with a FIN alone',
    reason: 'server-closed',
    setting: 'plain',
    async run(world) {
      const peer = await rawWebSocket(world, '/close')
      await peer.expect('done')
      peer.end()
      return peer.port
    },
  },
  {
    what: 'the app closes a WebSocket whose peer answers with a reset',
    reason: 'server-closed',
    setting: 'plain',
    async run(world) {
      const peer = await rawWebSocket(world, '/close')
      await peer.expect('done')
      peer.reset()
      return peer.port
    },
  },
  {
    what: 'the app terminates a WebSocket',
    reason: 'server-closed',
    setting: 'plain',
    run: afterUpgrade('/terminate'),
  },
  {
    what: 'the app destroys the socket of a WebSocket',
    reason: 'server-closed',
    setting: 'plain',
    run: afterUpgrade('/destroy'),
  },
  {
    what: 'the app ends the socket of a WebSocket',
    reason: 'server-closed',
    setting: 'plain',
    async run(world) {
      const peer = await raw(world)
      peer.write(upgradeRequest('/end'))
      await until(() => peer.ended || peer.closed, "the app's FIN")
      peer.end()
      return peer.port
    },
  },
  {
    what: 'the app refuses an upgrade',
    reason: 'server-closed',
    setting: 'plain',
    async run(world) {
      const peer = await raw(world)
      peer.write(upgradeRequest('/upgrade-refused'))
      await peer.expect('401')
      peer.end()
      return peer.port
    },
  },
  {
    what: "the app's Connection: close",
    reason: 'server-closed',
    setting: 'plain',
    async run(world) {
      const peer = await raw(world)
      await requestRaw(peer, '/last')
      await peer.gone()
      return peer.port
    },
  },
  {
    what: 'the app destroys the socket of a request',
    reason: 'server-closed',
    setting: 'plain',
    phase: 'request',
    run: afterRequest('/destroy'),
  },
  {
    what: 'the app ends the socket of a request',
    reason: 'server-closed',
    setting: 'plain',
    async run(world) {
      const peer = await raw(world)
      peer.write(request('/end'))
      await until(() => peer.ended || peer.closed, "the app's FIN")
      peer.end()
      return peer.port
    },
  },
  {
    what: 'the app fails a WebSocket',
    reason: 'server-error',
    setting: 'plain',
    run: afterUpgrade('/fail'),
  },
  {
    what: 'the app fails an upgrade',
    reason: 'server-error',
    setting: 'plain',
    run: afterUpgrade('/upgrade-fails'),
  },
  {
    what: 'the app fails the socket of a request',
    reason: 'server-error',
    setting: 'plain',
    phase: 'request',
    run: afterRequest('/fail'),
  },
  {
    what: 'the app fails a response',
    reason: 'server-error',
    setting: 'plain',
    run: afterRequest('/fail-response'),
  },
]

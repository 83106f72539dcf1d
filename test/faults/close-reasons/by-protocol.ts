/** The peer does what its protocol does not allow. */
import assert from 'node:assert/strict'
import { badFrames, request } from '../../support/frames.js'
import { connectTcp, readResponse, requestRaw } from '../../support/raw-peer.js'
import { raw, rawWebSocket, type Scenario } from './world.js'

export const byProtocol: Scenario[] = [
  ...Object.entries(badFrames).map(
    ([what, frame]): Scenario => ({
      what: `a bad frame (${what})`,
      reason: 'protocol-error',
      setting: 'plain',
      async run(world) {
        const peer = await rawWebSocket(world)
        peer.write(frame)
        return peer.port
      },
    }),
  ),
  {
    what: 'a request that is none',
    reason: 'protocol-error',
    setting: 'plain',
    async run(world) {
      const peer = await raw(world)
      peer.write('what is this\r\n\r\n')
      assert.match(await readResponse(peer), /^HTTP\/1\.1 400 /)
      return peer.port
    },
  },
  {
    what: 'a second request that is none',
    reason: 'protocol-error',
    setting: 'plain',
    async run(world) {
      const peer = await raw(world)
      await requestRaw(peer)
      peer.write('what is this\r\n\r\n')
      return peer.port
    },
  },
  {
    what: 'plain HTTP to an https server',
    reason: 'protocol-error',
    setting: 'plain',
    phase: 'tls-handshake',
    only: 'https',
    async run({ scope, port }) {
      const peer = await connectTcp(scope, port)
      peer.write(request())
      return peer.port
    },
  },
]

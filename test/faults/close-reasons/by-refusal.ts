/** The peer is refused. */
import assert from 'node:assert/strict'
import { upgradeRequest } from '../../support/frames.js'
import { readResponse, requestRaw } from '../../support/raw-peer.js'
import { raw, type Scenario } from './world.js'

export const byRefusal: Scenario[] = [
  {
    what: 'an upgrade under pressure',
    reason: 'shed',
    setting: 'pressure',
    async run(world) {
      const peer = await raw(world)
      peer.write(upgradeRequest())
      assert.match(await readResponse(peer), /^HTTP\/1\.1 503 [\s\S]*retry-after: \d/i)
      peer.end()
      return peer.port
    },
  },
  {
    // Without a body its connection would live on.
    what: 'a request with a body under pressure',
    reason: 'shed',
    setting: 'pressure',
    async run(world) {
      const peer = await raw(world)
      assert.match(
        await requestRaw(peer, '/', { 'Content-Length': '9' }),
        /^HTTP\/1\.1 503 [\s\S]*retry-after: \d/i,
      )
      await peer.gone()
      return peer.port
    },
  },
  ...(['all-limit', 'peer-limit'] as const).flatMap((setting): Scenario[] => [
    {
      what: `an upgrade above the ${setting}`,
      reason: 'limit',
      setting,
      alone: true,
      async run(world) {
        const peer = await raw(world)
        peer.write(upgradeRequest())
        assert.match(
          await readResponse(peer),
          setting === 'all-limit' ? /^HTTP\/1\.1 503 / : /^HTTP\/1\.1 429 /,
        )
        await peer.gone()
        return peer.port
      },
    },
    {
      what: `a request above the ${setting}`,
      reason: 'limit',
      setting,
      alone: true,
      async run(world) {
        const peer = await raw(world)
        assert.match(
          await requestRaw(peer),
          setting === 'all-limit' ? /^HTTP\/1\.1 503 / : /^HTTP\/1\.1 429 /,
        )
        await peer.gone()
        return peer.port
      },
    },
  ]),
]

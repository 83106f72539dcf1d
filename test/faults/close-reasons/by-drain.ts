/** A drain ends it. */
import assert from 'node:assert/strict'
import { request } from '../../support/frames.js'
import { readResponse, requestRaw } from '../../support/raw-peer.js'
import { goodWebSocket, judge, raw, untilPhase, type World } from './world.js'

/** A peer that is there when the drain begins, and what it is told. */
export interface DrainScenario {
  readonly what: string
  readonly open: (world: World) => Promise<{ readonly port: number; readonly told?: () => Promise<void> }>
}

export const byDrain: DrainScenario[] = [
  {
    what: 'drain: a WebSocket',
    async open(world) {
      const peer = await goodWebSocket(world)
      return { port: peer.port, told: async () => assert.equal((await peer.closed).code, 1012) }
    },
  },
  {
    what: 'drain: a pooled connection with one request more',
    async open(world) {
      const peer = await raw(world)
      await requestRaw(peer)
      return {
        port: peer.port,
        told: async () => assert.match(await requestRaw(peer), /connection: close/i),
      }
    },
  },
  {
    what: 'drain: a pooled connection',
    async open(world) {
      const peer = await raw(world)
      await requestRaw(peer)
      return peer
    },
  },
  {
    what: 'drain: a slow request',
    async open(world) {
      const peer = await raw(world)
      peer.write(request('/slow'))
      await untilPhase(world, peer.port, 'request')
      return {
        port: peer.port,
        told: async () => assert.match(await readResponse(peer), /^HTTP\/1\.1 200 [\s\S]*slow$/),
      }
    },
  },
]

/** All of them are ended by one drain. */
export async function judgeDrain(
  world: World,
  scenarios: readonly DrainScenario[],
): Promise<(string | undefined)[]> {
  const peers = []
  for (const { what, open } of scenarios) peers.push({ what, ...(await open(world)) })
  const report = world.pulse.drain('test')
  await Promise.all(peers.map(({ told }) => told?.()))
  assert.equal((await report).deadlineExceeded, false)
  return Promise.all(
    peers.map(({ what, port }) =>
      judge({ what, reason: 'drain', setting: 'drain', run: async () => port }, world),
    ),
  )
}

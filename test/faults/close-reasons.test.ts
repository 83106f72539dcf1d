import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { Random } from '../support/random.js'
import type { Scope } from '../support/servers.js'
import { pause } from '../support/wait.js'
import { byApp } from './close-reasons/by-app.js'
import { byDrain, judgeDrain } from './close-reasons/by-drain.js'
import { byPeer } from './close-reasons/by-peer.js'
import { byProtocol } from './close-reasons/by-protocol.js'
import { byRefusal } from './close-reasons/by-refusal.js'
import { bySilence } from './close-reasons/by-silence.js'
import { createWorld, judge, type Setting, settings, settle, type World } from './close-reasons/world.js'

/** In the mixed run scenarios begin over this time. */
const startsMs = 1_500
const repeats = 3

const scenarios = [...byPeer, ...bySilence, ...byRefusal, ...byProtocol, ...byApp]
const settingNames = Object.keys(settings) as Setting[]
const schemes = { http: false, https: true }

const scenariosOf = (setting: Setting, secure: boolean) =>
  scenarios.filter((s) => s.setting === setting && s.only !== (secure ? 'http' : 'https'))

/** A clean-up that others can be added to until it runs. */
class CleanUp implements Scope {
  readonly #steps: (() => unknown)[] = []

  after(step: () => unknown): void {
    this.#steps.push(step)
  }

  async run(): Promise<void> {
    for (const step of this.#steps) await step()
  }
}

/** A world that the tests of a suite share; made by the first of them, so that those of one name alone make one. */
function shareWorld(setting: Setting, secure: boolean): () => Promise<World> {
  const cleanUp = new CleanUp()
  let world: Promise<World> | undefined
  after(async () => {
    try {
      if (world !== undefined) await settle(await world)
    } finally {
      await cleanUp.run()
    }
  })
  return () => {
    world ??= createWorld(cleanUp, setting, secure)
    return world
  }
}

for (const [scheme, secure] of Object.entries(schemes)) {
  describe(scheme, { concurrency: true, timeout: 120_000 }, () => {
    for (const setting of settingNames) {
      const here = scenariosOf(setting, secure)
      if (here.length === 0) continue
      describe(setting, { concurrency: !here.some(({ alone }) => alone) }, () => {
        const world = shareWorld(setting, secure)
        for (const scenario of here)
          test(`${scenario.what}: ${scenario.reason}`, async () => {
            assert.equal(await judge(scenario, await world()), undefined)
          })
      })
    }

    for (const scenario of byDrain)
      test(`${scenario.what}: drain`, async (t) => {
        const world = await createWorld(t, 'drain', secure)
        assert.deepEqual(await judgeDrain(world, [scenario]), [undefined])
        await settle(world)
      })
  })
}

test('every way to end has its reason, http and https, mixed at random', { timeout: 120_000 }, async (t) => {
  const random = new Random()
  t.diagnostic(`seed ${random.seed}`)
  const worlds: World[] = []
  const runs: Promise<string | undefined>[] = []
  const drains: Promise<(string | undefined)[]>[] = []
  for (const secure of Object.values(schemes)) {
    for (const setting of settingNames) {
      const world = await createWorld(t, setting, secure)
      worlds.push(world)
      if (setting === 'drain') drains.push(judgeDrain(world, byDrain))
      const all = random.shuffle(Array.from({ length: repeats }, () => scenariosOf(setting, secure)).flat())
      let before = Promise.resolve<string | undefined>(undefined)
      for (const scenario of all) {
        const startAfterMs = random.next() * startsMs
        const begin = scenario.alone ? before : pause(startAfterMs)
        const run = begin.then(() => judge(scenario, world))
        if (scenario.alone) before = run
        runs.push(run)
      }
    }
  }
  const wrong = [...(await Promise.all(runs)), ...(await Promise.all(drains)).flat()].filter(
    (problem) => problem !== undefined,
  )
  t.diagnostic(`${runs.length} connections`)
  assert.deepEqual([...new Set(wrong)].sort(), [])
  for (const world of worlds) await settle(world)
})

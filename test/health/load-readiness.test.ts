import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { describe, test } from 'node:test'
import { LoadReadiness } from '../../lib/health/load-readiness.js'
import { peerpulse } from '../../lib/index.js'
import { ask, health, listen, shut } from '../support/probe-client.js'
import { until } from '../support/wait.js'

describe('readiness under pressure', () => {
  const config = { failAfterMs: 5_000, maxOutMs: 30_000 }

  /** Asked once a second at `critical` from second 0 on; the seconds in which it fails. */
  function failingSeconds(load: LoadReadiness, seconds: number): number[] {
    const failing: number[] = []
    for (let second = 0; second < seconds; second++)
      if (load.judge('critical', second * 1_000, second * 1_000).status === 'fail') failing.push(second)
    return failing
  }

  test('warns when elevated, and fails only when it stays critical', () => {
    const load = new LoadReadiness(config)
    assert.deepEqual(load.judge('normal', 0, 0), { status: 'pass', output: 'the pressure is normal' })
    assert.equal(load.judge('elevated', 60_000, 0).status, 'warn')
    assert.equal(load.judge('critical', 4_999, 0).status, 'warn')
    assert.deepEqual(load.judge('critical', 5_000, 1), {
      status: 'fail',
      output: 'the pressure is critical, for 5 s',
    })
    assert.equal(load.judge('elevated', 0, 2).status, 'warn')
  })

  test('of ten minutes of critical pressure it is away for half at most, and never longer than the cap', () => {
    const failing = failingSeconds(new LoadReadiness(config), 600)
    assert.ok(failing.length <= 300 && failing.length >= 250, `${failing.length} s`)
    let row = 1
    for (let i = 1; i < failing.length; i++) {
      row = failing[i] === (failing[i - 1] as number) + 1 ? row + 1 : 1
      assert.ok(row <= 30, `${row} s in a row`)
    }
  })

  test('stays for as long as it was away, also when the pressure fell meanwhile', () => {
    const load = new LoadReadiness(config)
    assert.equal(load.judge('critical', 5_000, 0).status, 'fail')
    assert.equal(load.judge('elevated', 0, 10_000).status, 'warn')
    const back = load.judge('critical', 5_000, 19_000)
    assert.equal(back.status, 'warn')
    assert.match(back.output, /so that the others do not fall too/)
    assert.equal(load.judge('critical', 6_000, 20_000).status, 'fail')
  })

  test('counts only the time for which it may have kept traffic away, where nobody asks for long', () => {
    const load = new LoadReadiness(config)
    assert.equal(load.judge('critical', 5_000, 0).status, 'fail')
    assert.equal(load.judge('normal', 0, 3_600_000).status, 'pass')
    assert.equal(load.judge('critical', 5_000, 3_605_000).status, 'fail')
  })

  test('fails at once, and for as long, as every request is refused: nobody else has to take over what is not served', () => {
    const load = new LoadReadiness(config)
    for (const second of [0, 1, 29, 31, 59, 600]) {
      const { status, output } = load.judge('critical', second * 1_000, second * 1_000, 'all')
      assert.equal(status, 'fail', `after ${second} s`)
      assert.match(output, /every request is refused/)
    }
    assert.equal(load.judge('elevated', 0, 601_000, 'none').status, 'warn')
    assert.equal(new LoadReadiness(false).judge('critical', 60_000, 0, 'all').status, 'warn')
  })

  test('warns and says so while requests are let in again: kept away, they would all come at once', () => {
    const { status, output } = new LoadReadiness(config).judge('elevated', 0, 0, 'some')
    assert.equal(status, 'warn')
    assert.match(output, /a few at a time/)
  })

  test('only warns where it is switched off', () => {
    assert.deepEqual(failingSeconds(new LoadReadiness(false), 60), [])
  })
})

for (const dryRun of [false, true]) {
  test(`readyz ${dryRun ? 'warns in a dry run, and' : ''} fails for load, livez and startupz never do`, async () => {
    const pulse = peerpulse({
      drain: false,
      dryRun,
      pressure: { memory: { limitBytes: 1 }, warmUpMs: 0 },
      probes: { pressure: { failAfterMs: 0 } },
    })
    pulse.on('warning', () => {})
    const server = createServer((_req, res) => res.end())
    pulse.attach(server)
    const url = await listen(server)
    try {
      await until(() => pulse.snapshot().pressure.level === 'critical', 'critical')
      const answer = await ask(`${url}/readyz`)
      assert.equal(answer.status, dryRun ? 200 : 503)
      assert.equal(health(answer).checks?.pressure?.[0].status, dryRun ? 'warn' : 'fail')
      assert.equal((await ask(`${url}/readyz?exclude=pressure`)).status, 200)
      assert.equal((await ask(`${url}/livez`)).status, 200)
      assert.equal((await ask(`${url}/startupz`)).status, 200)
    } finally {
      await pulse.detach()
      await shut(server)
    }
  })
}

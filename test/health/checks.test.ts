import assert from 'node:assert/strict'
import { channel } from 'node:diagnostics_channel'
import type { ServerResponse } from 'node:http'
import { test } from 'node:test'
import { type CheckChange, type PeerpulseError, peerpulse } from '../../lib/index.js'
import { ask, gate, health, serve } from '../support/probe-client.js'
import { inTime, until } from '../support/wait.js'

const line = async (url: string, name: string) => health(await ask(`${url}/readyz`)).checks?.[name]?.[0]

test('checks: throwing, rejecting and false fail; everything else passes', async () => {
  await using served = await serve()
  const { pulse, url } = served
  pulse.addCheck('throws', () => {
    throw new Error('thrown')
  })
  pulse.addCheck('rejects', () => Promise.reject(new Error('rejected')))
  pulse.addCheck('says-false', async () => false)
  pulse.addCheck('throws-text', () => {
    throw 'plain text'
  })
  pulse.addCheck('throws-undefined', () => {
    throw undefined
  })
  for (const [i, value] of [undefined, null, true, 0, '', 'false', {}].entries()) {
    pulse.addCheck(`passes-${i}`, () => value)
  }
  const answer = await ask(`${url}/readyz`)
  assert.equal(answer.status, 503)
  const { status, checks = {} } = health(answer)
  assert.equal(status, 'fail')
  const outputs = {
    throws: 'thrown',
    rejects: 'rejected',
    'says-false': 'the check answered false',
    'throws-text': 'plain text',
    'throws-undefined': 'undefined',
  }
  for (const [name, output] of Object.entries(outputs)) {
    assert.equal(checks[name]?.[0].status, 'fail', name)
    assert.equal(checks[name]?.[0].output, output)
  }
  for (let i = 0; i < 7; i++) assert.equal(checks[`passes-${i}`]?.[0].status, 'pass', `${i}`)
})

test('checks: what a check says is cut and escaped', async () => {
  await using served = await serve()
  served.pulse.addCheck('long', () => {
    throw new Error(`first\nsecond\u001b[31m${'x'.repeat(5_000)}`)
  })
  const output = (await line(served.url, 'long'))?.output ?? ''
  assert.ok(output.length > 0 && output.length < 500, `${output.length} characters`)
  assert.ok(!output.includes('\n') && !output.includes('\u001b'), JSON.stringify(output.slice(0, 30)))
  const verbose = (await ask(`${served.url}/readyz/long?verbose`)).text
  assert.equal(verbose.trimEnd().split('\n').length, 2)
})

test('checks: one that does not answer fails at its time limit, and its signal says so', async () => {
  await using served = await serve({ probes: { checkTimeoutMs: 400 } })
  const { pulse, url } = served
  const aborted: Record<string, unknown> = {}
  const hang = (name: string) => (signal: AbortSignal) =>
    new Promise<never>((_, reject) => {
      signal.addEventListener('abort', () => {
        aborted[name] = signal.reason
        reject(signal.reason)
      })
    })
  pulse.addCheck('default-limit', hang('default-limit'))
  pulse.addCheck('own-limit', hang('own-limit'), { timeoutMs: 100 })
  pulse.addCheck('quick', () => true)
  const answer = await ask(`${url}/readyz`)
  assert.equal(answer.status, 503)
  const { checks = {} } = health(answer)
  assert.equal(checks['default-limit']?.[0].output, 'no answer in 400 ms')
  assert.equal(checks['own-limit']?.[0].output, 'no answer in 100 ms')
  assert.equal(checks.quick?.[0].status, 'pass')
  assert.ok((checks['own-limit']?.[0].durationMs ?? 0) < (checks['default-limit']?.[0].durationMs ?? 0))
  for (const name of ['default-limit', 'own-limit'])
    assert.equal((aborted[name] as PeerpulseError).code, 'PEERPULSE_ERR_CHECK_TIMEOUT')
})

test('checks: an answer after the time limit changes nothing and harms nobody', async () => {
  await using served = await serve()
  const answer = gate()
  served.pulse.addCheck('late', () => answer.promise, { timeoutMs: 100, cacheMs: 60_000 })
  assert.equal((await ask(`${served.url}/readyz`)).status, 503)
  // Were it nobody's, this would be an unhandled rejection, and fail this file.
  answer.fail(new Error('too late'))
  assert.equal((await line(served.url, 'late'))?.output, 'no answer in 100 ms')
})

test('checks: a passing check whose signal is kept is not aborted', async () => {
  await using served = await serve()
  let kept: AbortSignal | undefined
  let runs = 0
  served.pulse.addCheck(
    'quick',
    (signal) => {
      kept = signal
    },
    { timeoutMs: 100 },
  )
  served.pulse.addCheck(
    'slow',
    () => {
      runs++
      return new Promise(() => {})
    },
    { timeoutMs: 300 },
  )
  await ask(`${served.url}/readyz`)
  // The slow one's limit is past, so the quick one's has long been.
  assert.equal(runs, 1)
  assert.equal(kept?.aborted, false)
})

test('checks: all of a probe run side by side', async () => {
  await using served = await serve()
  const arrived: string[] = []
  const both = gate()
  for (const name of ['one', 'two']) {
    served.pulse.addCheck(name, async () => {
      arrived.push(name)
      if (arrived.length === 2) both.open()
      await both.promise
    })
  }
  assert.equal((await ask(`${served.url}/readyz`)).status, 200)
})

test('checks: nothing runs before somebody asks, and only what the probe has', async () => {
  await using served = await serve()
  const { pulse, url } = served
  const runs = { livez: 0, readyz: 0, startupz: 0 }
  for (const probe of ['livez', 'readyz', 'startupz'] as const)
    pulse.addCheck(`of-${probe}`, () => void runs[probe]++, { probe })
  assert.deepEqual(runs, { livez: 0, readyz: 0, startupz: 0 })
  await ask(`${url}/livez`)
  assert.deepEqual(runs, { livez: 1, readyz: 0, startupz: 0 })
  // Readiness asks whether it has started.
  await ask(`${url}/readyz`)
  assert.deepEqual(runs, { livez: 1, readyz: 1, startupz: 1 })
  await ask(`${url}/readyz?exclude=of-readyz`)
  await ask(`${url}/readyz/startup`)
  assert.deepEqual(runs, { livez: 1, readyz: 1, startupz: 1 })
})

test('checks: a liveness check of the app can fail liveness', async () => {
  await using served = await serve()
  served.pulse.addCheck('deadlock', () => false, { probe: 'liveness' })
  assert.equal((await ask(`${served.url}/livez`)).status, 503)
  assert.equal((await ask(`${served.url}/readyz`)).status, 200)
})

test('checks: a result is used again for cacheMs, and no longer', async () => {
  await using served = await serve({ probes: { cacheMs: 300 } })
  const { pulse, url } = served
  const runs = { default: 0, long: 0, none: 0 }
  pulse.addCheck('default', () => void runs.default++)
  pulse.addCheck('long', () => void runs.long++, { cacheMs: 3_600_000 })
  pulse.addCheck('none', () => void runs.none++, { cacheMs: 0 })
  const first = await line(url, 'default')
  let asked = 1
  await until(async () => {
    asked++
    return (await line(url, 'default'))?.time !== first?.time
  }, 'second run')
  assert.equal(runs.default, 2)
  assert.equal(runs.long, 1)
  assert.equal(runs.none, asked)
  const second = await line(url, 'default')
  assert.ok(Date.parse(second?.time ?? '') - Date.parse(first?.time ?? '') >= 290)
})

test('checks: 1,000 probes at once run a check once', async () => {
  // The limit is far off, and so is the next run.
  await using served = await serve({ probes: { cacheMs: 0, checkTimeoutMs: 60_000 } })
  const { pulse, url } = served
  let runs = 0
  const end = gate()
  pulse.addCheck('slow', async () => {
    runs++
    await end.promise
  })
  let arrived = 0
  const started = channel('http.server.request.start')
  const count = (message: unknown) => {
    if ((message as { response: ServerResponse }).response.req.url === '/readyz/slow') arrived++
  }
  started.subscribe(count)
  try {
    const answers = Array.from({ length: 1_000 }, () => ask(`${url}/readyz/slow`))
    const all = Promise.all(answers)
    await Promise.race([all, until(() => arrived === 1_000, '1,000 requests')])
    end.open()
    for (const { status } of await all) assert.equal(status, 200)
    assert.equal(runs, 1)
    await ask(`${url}/readyz/slow`)
    assert.equal(runs, 2)
  } finally {
    end.open()
    started.unsubscribe(count)
  }
})

test('checks: a soft check that fails is a warning, and 200', async () => {
  await using served = await serve()
  const { pulse, url } = served
  pulse.addCheck('cache', () => Promise.reject(new Error('cold')), { soft: true })
  pulse.addCheck('slow', () => new Promise(() => {}), { soft: true, timeoutMs: 100 })
  const answer = await ask(`${url}/readyz`)
  assert.equal(answer.status, 200)
  const { status, checks } = health(answer)
  assert.equal(status, 'warn')
  assert.equal(checks?.cache?.[0].status, 'warn')
  assert.equal(checks?.cache?.[0].output, 'cold')
  assert.equal(checks?.slow?.[0].status, 'warn')
  pulse.addCheck('database', () => false)
  const failed = await ask(`${url}/readyz`)
  assert.equal(failed.status, 503)
  assert.equal(health(failed).status, 'fail')
})

test('checks: a startup check holds readiness back until it has passed once, and is not asked again', async () => {
  await using served = await serve({ probes: { cacheMs: 0 } })
  const { pulse, url } = served
  let warm = false
  let runs = 0
  pulse.addCheck(
    'warm',
    () => {
      runs++
      return warm
    },
    { probe: 'startupz' },
  )
  assert.equal((await ask(`${url}/startupz`)).status, 503)
  const waiting = await ask(`${url}/readyz?verbose`)
  assert.equal(waiting.status, 503)
  assert.match(waiting.text, /^\[-\]startup failed: not passed yet: warm$/m)
  assert.equal((await ask(`${url}/livez`)).status, 200)

  warm = true
  assert.equal((await ask(`${url}/startupz`)).status, 200)
  assert.equal((await ask(`${url}/readyz`)).status, 200)
  const runsToStart = runs
  warm = false
  assert.equal((await ask(`${url}/startupz`)).status, 200)
  assert.equal((await ask(`${url}/startupz/warm`)).status, 200)
  assert.equal((await ask(`${url}/readyz`)).status, 200)
  assert.equal(runs, runsToStart)
})

test('checks: readiness alone is enough to start up', async () => {
  await using served = await serve()
  served.pulse.addCheck('warm', () => true, { probe: 'startupz' })
  served.pulse.addCheck('soft', () => false, { probe: 'startupz', soft: true })
  assert.equal((await ask(`${served.url}/readyz`)).status, 200)
})

test('checks: check:change tells of every change of status, and of nothing else', async () => {
  await using served = await serve({ probes: { cacheMs: 0 } })
  const { pulse, url } = served
  const changes: CheckChange[] = []
  pulse.on('check:change', (change) => changes.push(change))
  let problem: string | undefined
  pulse.addCheck('database', () => {
    if (problem !== undefined) throw new Error(problem)
  })
  for (const next of [undefined, undefined, 'down', 'still down', undefined]) {
    problem = next
    await ask(`${url}/readyz`)
  }
  const of = { name: 'database', probe: 'readyz' }
  assert.deepEqual(changes, [
    { ...of, status: 'pass', previous: undefined, output: undefined },
    { ...of, status: 'fail', previous: 'pass', output: 'down' },
    { ...of, status: 'pass', previous: 'fail', output: undefined },
  ])
})

test('checks: a listener that throws changes no answer', async () => {
  await using served = await serve()
  served.pulse.on('warning', () => {})
  served.pulse.on('check:change', () => {
    throw new Error('listener')
  })
  served.pulse.addCheck('good', () => true)
  assert.equal((await ask(`${served.url}/readyz/good`)).status, 200)
  assert.equal(served.pulse.snapshot().totals.callbackErrors, 1)
})

test('checks: disposing takes one out, and only that one', async () => {
  await using served = await serve()
  const { pulse, url } = served
  const bad = pulse.addCheck('database', () => false)
  assert.equal((await ask(`${url}/readyz`)).status, 503)
  bad[Symbol.dispose]()
  assert.equal((await ask(`${url}/readyz`)).status, 200)
  assert.equal((await ask(`${url}/readyz/database`)).status, 404)

  const good = pulse.addCheck('database', () => true)
  bad[Symbol.dispose]()
  assert.equal((await ask(`${url}/readyz/database`)).status, 200)
  good[Symbol.dispose]()
  good[Symbol.dispose]()
  assert.equal((await ask(`${url}/readyz/database`)).status, 404)
  {
    using _scoped = pulse.addCheck('scoped', () => true)
    assert.equal((await ask(`${url}/readyz/scoped`)).status, 200)
  }
  assert.equal((await ask(`${url}/readyz/scoped`)).status, 404)
})

test('checks: one that is disposed while it runs still answers who has asked', async () => {
  await using served = await serve()
  const asked = gate()
  const end = gate()
  const check = served.pulse.addCheck('slow', async () => {
    asked.open()
    await end.promise
  })
  const answer = ask(`${served.url}/readyz/slow`)
  await inTime(asked.promise, 'run')
  check[Symbol.dispose]()
  end.open()
  assert.equal((await answer).status, 200)
  assert.equal((await ask(`${served.url}/readyz/slow`)).status, 404)
})

test('checks: wrong arguments are refused, each with what would be right', () => {
  const pulse = peerpulse()
  const pass = () => true
  pulse.addCheck('taken', pass)
  const wrong: [string, unknown[], RegExp][] = [
    ['no name', [], /the name must be letters/],
    ['empty name', ['', pass], /the name must be letters/],
    ['a slash', ['a/b', pass], /not 'a\/b'/],
    ['a space', ['a b', pass], /not 'a b'/],
    ['a leading dot', ['.a', pass], /not '\.a'/],
    ['too long', ['a'.repeat(65), pass], /64 at most/],
    ['a number', [5, pass], /not 5$/],
    ['taken', ['taken', pass], /there is a check 'taken' already; dispose it first/],
    ['our own', ['drain', pass], /there is a check 'drain' already/],
    ['no function', ['x'], /the check 'x' must be a function/],
    ['a promise', ['x', Promise.resolve()], /the check 'x' must be a function/],
    ['unknown option', ['x', pass, { timeout: 5 }], /unknown option 'timeout'; there are probe, timeoutMs/],
    ['a wrong probe', ['x', pass, { probe: 'ready' }], /probe must be .*not 'ready'/],
    ['no time', ['x', pass, { timeoutMs: 0 }], /timeoutMs must be a number of milliseconds above 0/],
    ['endless time', ['x', pass, { timeoutMs: Infinity }], /timeoutMs/],
    ['time as text', ['x', pass, { timeoutMs: '5' }], /timeoutMs/],
    ['a negative cache', ['x', pass, { cacheMs: -1 }], /cacheMs must be a number of milliseconds, 0 or more/],
    ['NaN', ['x', pass, { cacheMs: Number.NaN }], /cacheMs/],
    ['soft as text', ['x', pass, { soft: 'yes' }], /soft must be true or false/],
  ]
  for (const [what, args, message] of wrong) {
    assert.throws(
      () => (pulse.addCheck as (...args: unknown[]) => unknown)(...args),
      { code: 'PEERPULSE_ERR_INVALID_ARGUMENT', message },
      what,
    )
  }
  // None of them was added by half.
  pulse.addCheck('x', pass, { timeoutMs: 5, cacheMs: 0, soft: true, probe: 'livez' })
})

test('checks: names that mean something to an object are names like any other', async () => {
  await using served = await serve()
  for (const name of ['constructor', 'toString', 'valueOf', 'a.b-c_9']) {
    served.pulse.addCheck(name, () => true)
    assert.equal((await ask(`${served.url}/readyz/${name}`)).status, 200, name)
  }
  assert.equal((await ask(`${served.url}/readyz/hasOwnProperty`)).status, 404)
  assert.equal((await ask(`${served.url}/readyz/__proto__`)).status, 404)
})

test('checks: one that hangs is not called again on top, until it is taken for lost', async () => {
  await using served = await serve({ probes: { cacheMs: 0 } })
  const { pulse, url } = served
  let calls = 0
  const end = gate()
  pulse.addCheck(
    'hangs',
    async () => {
      calls++
      await end.promise
    },
    { timeoutMs: 100 },
  )
  assert.equal((await line(url, 'hangs'))?.output, 'no answer in 100 ms')
  assert.match((await line(url, 'hangs'))?.output ?? '', /^no answer for \d+\.\d s$/)
  assert.equal(calls, 1)
  await until(async () => (await line(url, 'hangs')) && calls === 2, 'a second call, ten limits later')
  end.open()
  await until(async () => (await line(url, 'hangs'))?.status === 'pass', 'a pass, once it answers')
})

test('checks: a check that may take longer than an answer is answered for by its last result', async () => {
  await using served = await serve({ probes: { checkTimeoutMs: 200, cacheMs: 0 } })
  const { pulse, url } = served
  let end = gate()
  let calls = 0
  pulse.addCheck(
    'thorough',
    () => {
      calls++
      return end.promise
    },
    { timeoutMs: 60_000 },
  )
  const first = await line(url, 'thorough')
  assert.deepEqual([first?.status, first?.output], ['fail', 'no answer yet, of 60000 ms that it may take'])
  end.open()
  await until(async () => (await line(url, 'thorough'))?.status === 'pass', 'a pass')
  end = gate()
  const before = calls
  assert.equal((await line(url, 'thorough'))?.status, 'pass')
  assert.equal((await line(url, 'thorough'))?.status, 'pass')
  assert.equal(calls, before + 1, 'one call, that goes on')
  end.open()
})

test('checks: startup checks and readiness checks that hang take one time limit together', async () => {
  await using served = await serve({ probes: { checkTimeoutMs: 300 } })
  const { pulse, url } = served
  const called: string[] = []
  for (const probe of ['startupz', 'readyz'] as const) {
    pulse.addCheck(
      `hangs-${probe}`,
      () => {
        called.push(probe)
        return new Promise(() => {})
      },
      { probe },
    )
  }
  const answer = ask(`${url}/readyz`)
  await until(() => called.length > 0, 'a call')
  // Both are called before either's limit is over.
  assert.equal(called.length, 2)
  assert.equal((await answer).status, 503)
})

test('checks: a dependency that flaps does not flap readiness, where failures are counted', async () => {
  await using served = await serve({ probes: { cacheMs: 0 } })
  const { pulse, url } = served
  let up = true
  const changes: string[] = []
  pulse.on('check:change', ({ status }) => changes.push(status))
  pulse.addCheck('database', () => up, { failAfter: 3, passAfter: 2 })
  const answers = async (...states: boolean[]) => {
    const codes: number[] = []
    for (const state of states) {
      up = state
      codes.push((await ask(`${url}/readyz`)).status)
    }
    return codes
  }
  assert.deepEqual(
    await answers(true, false, true, false, false, true, false),
    [200, 200, 200, 200, 200, 200, 200],
  )
  assert.equal(
    (await line(url, 'database'))?.output,
    'failed 2 of 3 times in a row: the check answered false',
  )
  assert.deepEqual(await answers(false, true, false, true, true, false), [503, 503, 503, 503, 200, 200])
  assert.deepEqual(changes, ['pass', 'warn', 'pass', 'warn', 'pass', 'warn', 'fail', 'pass', 'warn'])
})

test('checks: the first result of all counts at once', async () => {
  await using served = await serve({ probes: { cacheMs: 0 } })
  served.pulse.addCheck('database', () => false, { failAfter: 5 })
  assert.equal((await ask(`${served.url}/readyz`)).status, 503)
})

test('checks: without any option too, what flaps is held back until it has passed three times in a row', async () => {
  await using served = await serve({ probes: { cacheMs: 0 } })
  const { pulse, url } = served
  let up = true
  pulse.addCheck('database', () => up)
  const answers: number[] = []
  for (const state of 'PFPFPFPFPFPPPP') {
    up = state === 'P'
    answers.push((await ask(`${url}/readyz`)).status)
  }
  assert.equal(answers.join(' '), '200 503 200 503 503 503 503 503 503 503 503 503 200 200')
  assert.equal((await line(url, 'database'))?.status, 'pass')
})

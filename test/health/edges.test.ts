import assert from 'node:assert/strict'
import { test } from 'node:test'
import { peerpulse, type Warning } from '../../lib/index.js'
import { ask, gate, health, serve } from '../support/probe-client.js'
import { inTime, until } from '../support/wait.js'

/** What `String()` throws for. */
const unprintable = () => Object.create(null) as object

test('probes: the path of a probe may begin with that of another', async () => {
  await using served = await serve({
    probes: { livez: '/health', readyz: '/health/ready', startupz: '/health/startup' },
  })
  served.pulse.addCheck('database', () => true)
  assert.equal((await ask(`${served.url}/health`)).status, 200)
  const readyz = await ask(`${served.url}/health/ready`)
  assert.equal(readyz.status, 200)
  assert.notEqual(health(readyz).checks?.database, undefined)
  assert.equal((await ask(`${served.url}/health/ready/database`)).status, 200)
  assert.notEqual(health(await ask(`${served.url}/health/startup`)).checks?.listening, undefined)
})

test('probes: a details function that was made async by mistake, and rejects, harms nobody', async () => {
  await using served = await serve({
    probes: { details: (async () => Promise.reject(new Error('no session'))) as never },
  })
  const warnings: Warning[] = []
  served.pulse.on('warning', (warning) => warnings.push(warning))
  // An unhandled rejection would fail this file.
  assert.deepEqual(JSON.parse((await ask(`${served.url}/livez`)).text), { status: 'pass' })
  await until(() => warnings.length > 0, 'warning')
  assert.match(warnings[0]?.message ?? '', /probes\.details/)
})

test('probes: the details function is asked once a request', async () => {
  let calls = 0
  await using served = await serve({
    probes: {
      details: () => {
        calls++
        return true
      },
    },
  })
  await ask(`${served.url}/readyz?verbose`)
  assert.equal(calls, 1)
})

test('probes: startup that has passed stays so, whatever check is added later', async () => {
  await using served = await serve()
  assert.equal((await ask(`${served.url}/startupz`)).status, 200)
  served.pulse.addCheck('late', () => false, { probe: 'startupz' })
  assert.equal((await ask(`${served.url}/startupz`)).status, 200)
  assert.equal((await ask(`${served.url}/readyz`)).status, 200)
})

test('checks: a startup check runs once a probe', async () => {
  await using served = await serve({ probes: { cacheMs: 0 } })
  let runs = 0
  served.pulse.addCheck(
    'boot',
    () => {
      runs++
      return false
    },
    { probe: 'startupz' },
  )
  await ask(`${served.url}/startupz`)
  assert.equal(runs, 1)
})

test('checks: options that are no object are refused', () => {
  const pulse = peerpulse()
  for (const options of [null, 5, 'readyz']) {
    assert.throws(() => pulse.addCheck('x', () => true, options as never), {
      code: 'PEERPULSE_ERR_INVALID_ARGUMENT',
    })
  }
})

test('checks: who waits for a check when the pulse is detached gets an answer', async () => {
  await using served = await serve({ probes: { checkTimeoutMs: 300 } })
  const asked = gate()
  served.pulse.addCheck('hangs', () => {
    asked.open()
    return new Promise(() => {})
  })
  const answer = ask(`${served.url}/readyz`)
  await inTime(asked.promise, 'run')
  await served.pulse.detach()
  assert.equal((await answer).status, 503)
})

test('checks: whatever is thrown is a failure, and has words', async () => {
  await using served = await serve()
  const { pulse, url } = served
  const refused = Object.assign(new Error('connect ECONNREFUSED ::1:5432'), { code: 'ECONNREFUSED' })
  const thrown: Record<string, unknown> = {
    unprintable: unprintable(),
    'message-undefined': Object.assign(new Error(), { message: undefined }),
    'message-object': Object.assign(new Error(), { message: unprintable() }),
    // What Node throws when no address of `localhost` answers: its own message is empty.
    aggregate: Object.assign(new AggregateError([refused]), { code: 'ECONNREFUSED' }),
  }
  for (const [name, value] of Object.entries(thrown)) {
    using _check = pulse.addCheck(name, () => {
      throw value
    })
    const answer = await ask(`${url}/readyz/${name}`)
    assert.equal(answer.status, 503, name)
    assert.ok((health(answer).checks?.[name]?.[0].output ?? '').length > 0, name)
    if (name === 'aggregate') assert.match(answer.text, /ECONNREFUSED/)
  }
})

test('callbacks of the app that throw what cannot be printed are caught like others', async () => {
  await using served = await serve({
    probes: {
      details: () => {
        throw unprintable()
      },
    },
  })
  const { pulse, url } = served
  pulse.on('warning', () => {})
  pulse.on('connection:open', () => {
    throw unprintable()
  })
  pulse.on('connection:open', async () => {
    throw unprintable()
  })
  pulse.on('connection:open', (connection) => {
    connection.track('sync', () => {
      throw unprintable()
    })
    connection.track('async', () => Promise.reject(unprintable()))
  })
  assert.equal((await ask(`${url}/livez`)).status, 200)
  await until(() => pulse.snapshot().totals.callbackErrors === 5, 'five caught errors')
})

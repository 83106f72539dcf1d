import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { resolveConfig } from '../../lib/core/config.js'
import { defaults } from '../../lib/core/defaults.js'
import { ConfigError } from '../../lib/core/errors.js'
import { peerpulse } from '../../lib/index.js'
import type { PeerpulseOptions } from '../../types/options.js'

const resolve = (options?: unknown) => resolveConfig(options as PeerpulseOptions)

/** The problems of options that must be refused. */
function problemsOf(options: unknown): readonly string[] {
  try {
    peerpulse(options as PeerpulseOptions)
  } catch (error) {
    assert.ok(error instanceof ConfigError, `a ConfigError, not ${String(error)}`)
    assert.equal(error.code, 'PEERPULSE_ERR_CONFIG')
    for (const problem of error.problems) assert.ok(error.message.includes(problem))
    return error.problems
  }
  assert.fail('it was accepted')
}

describe('unknown options', () => {
  test('are refused with the nearest right name', () => {
    assert.deepEqual(problemsOf({ heartbeat: { intervalms: 1_000 } }), [
      'heartbeat.intervalms: unknown option, did you mean heartbeat.intervalMs?',
    ])
    assert.deepEqual(problemsOf({ heartBeat: {} }), ['heartBeat: unknown option, did you mean heartbeat?'])
    assert.deepEqual(problemsOf({ dryrun: true }), ['dryrun: unknown option, did you mean dryRun?'])
    assert.deepEqual(problemsOf({ budget: { highWatrBytes: 1 } }), [
      'budget.highWatrBytes: unknown option, did you mean budget.highWaterBytes?',
    ])
    assert.deepEqual(problemsOf({ pressure: { memory: { limitByte: 1 } } }), [
      'pressure.memory.limitByte: unknown option, did you mean pressure.memory.limitBytes?',
    ])
  })

  test('without a near name are answered with the names there are', () => {
    assert.deepEqual(problemsOf({ heartbeat: { colour: 'red' } }), [
      'heartbeat.colour: unknown option, the options here are intervalMs, timeoutMs, tcpKeepAliveMs',
    ])
  })

  test('are refused though their value is false, and ignored when it is undefined', () => {
    assert.deepEqual(problemsOf({ heartbeet: false }), ['heartbeet: unknown option, did you mean heartbeat?'])
    assert.deepEqual(resolve({ heartbeet: undefined }), resolve())
  })
})

describe('wrong types', () => {
  const wrong: [string, unknown, string][] = [
    ['options', 'fast', "options: must be an object, not 'fast'"],
    ['options', [], 'options: must be an object, not []'],
    ['options', null, 'options: must be an object, not null'],
    ['a section', { idle: true }, 'idle: must be an object, or false to switch it off, not true'],
    ['a section', { idle: null }, 'idle: must be an object, or false to switch it off, not null'],
    ['a section', { budget: [] }, 'budget: must be an object, or false to switch it off, not []'],
    [
      'a duration',
      { heartbeat: { intervalMs: '25s' } },
      "heartbeat.intervalMs: must be a number of milliseconds above 0, not '25s'",
    ],
    [
      'not a number',
      { heartbeat: { timeoutMs: Number.NaN } },
      'heartbeat.timeoutMs: must be a number of milliseconds above 0, not NaN',
    ],
    [
      'for ever',
      { drain: { deadlineMs: Number.POSITIVE_INFINITY } },
      'drain.deadlineMs: must be a number of milliseconds above 0, not Infinity',
    ],
    [
      'a negative duration',
      { idle: { sseMs: -1 } },
      'idle.sseMs: must be a number of milliseconds above 0, or false, not -1',
    ],
    [
      'off that is not false',
      { idle: { websocketMs: null } },
      'idle.websocketMs: must be a number of milliseconds above 0, or false, not null',
    ],
    ['a switch', { drain: { restart: 'yes' } }, "drain.restart: must be true or false, not 'yes'"],
    ['a switch at the top', { dryRun: 1 }, 'dryRun: must be true or false, not 1'],
    [
      'half a connection',
      { limits: { maxConnections: 1.5 } },
      'limits.maxConnections: must be a whole number above 0, or false, not 1.5',
    ],
    ...[0, 129, 64.5, false, '64'].map(
      (bits) =>
        [
          `a prefix of ${bits}`,
          { limits: { ipv6PrefixBits: bits } },
          `limits.ipv6PrefixBits: must be a whole number from 1 to 128, not ${bits === '64' ? "'64'" : bits}`,
        ] as [string, object, string],
    ),
    [
      'a size in words',
      { budget: { totalBytes: '64 MiB' } },
      "budget.totalBytes: must be a number of bytes above 0, or 'auto', not '64 MiB'",
    ],
    [
      'memory',
      { pressure: { memory: true } },
      'pressure.memory: must be false, or an object with limitBytes, not true',
    ],
    [
      'a negative size',
      { budget: { totalBytes: -1 } },
      "budget.totalBytes: must be a number of bytes above 0, or 'auto', not -1",
    ],
    [
      'a list for an object',
      { pressure: { memory: [] } },
      'pressure.memory: must be false, or an object with limitBytes, not []',
    ],
    [
      'a Map, whose keys nobody would read',
      { heartbeat: new Map([['intervalMs', 1]]) },
      'heartbeat: must be an object, or false to switch it off, not an object of class Map',
    ],
    [
      'thresholds out of range',
      { pressure: { leave: [0.7, 1.1] } },
      'pressure.leave: must be two numbers above 0 and at most 1: elevated and critical, as [0.7, 0.85], not [0.7, 1.1]',
    ],
    [
      'a negative number of hops',
      { limits: { trustProxy: -1 } },
      'limits.trustProxy: must be true, false, a number of hops, addresses, or a function, not -1',
    ],
    [
      'thresholds',
      { pressure: { enter: [0.8] } },
      'pressure.enter: must be two numbers above 0 and at most 1: elevated and critical, as [0.8, 0.92], not [0.8]',
    ],
    [
      'a callback',
      { pressure: { priority: 3 } },
      'pressure.priority: must be a function of the request that returns a number, not 3',
    ],
    ['a hook', { drain: { onSignal: {} } }, 'drain.onSignal: must be a function, not an object'],
    [
      'a signal nobody can catch',
      { drain: { signals: ['SIGTERM', 'SIGKILL'] } },
      "drain.signals.1: must be a signal that can be caught, not 'SIGKILL'",
    ],
    [
      'one signal for a list',
      { drain: { signals: 'SIGTERM' } },
      "drain.signals: must be a list of signals, as ['SIGTERM'], not 'SIGTERM'",
    ],
    [
      'a relative path',
      { probes: { livez: 'livez' } },
      "probes.livez: must be a path, as '/livez', without query, or false, not 'livez'",
    ],
    ['a port', { probes: { port: 70_000 } }, 'probes.port: must be a port number, or false, not 70000'],
    [
      'who sees details',
      { probes: { details: 'everyone' } },
      "probes.details: must be 'loopback', true, false, or a function of the request, not 'everyone'",
    ],
    [
      'proxies',
      { limits: { trustProxy: {} } },
      'limits.trustProxy: must be true, false, a number of hops, addresses, or a function, not an object',
    ],
    [
      'an address that is none',
      { limits: { trustProxy: 'lb' } },
      'limits.trustProxy: invalid IP address: lb',
    ],
    ['a missing age', { lifetime: {} }, 'lifetime.maxAgeMs: is required'],
    ['a missing idle timeout', { behind: {} }, 'behind.idleTimeoutMs: is required'],
    [
      'a share',
      { lifetime: { maxAgeMs: 1, jitter: 2 } },
      'lifetime.jitter: must be a number from 0 to 1, not 2',
    ],
    [
      'a logger',
      { log: { info() {} } },
      'log: must be false, or a logger with info, warn and error as pino has; missing here: warn, error',
    ],
    [
      'a logger by name',
      { log: 'pino' },
      'log: must be false, or a logger with info, warn and error as pino has; missing here: info, warn, error',
    ],
  ]
  for (const [what, options, message] of wrong) {
    test(`${what}: ${message}`, () => assert.deepEqual(problemsOf(options), [message]))
  }
})

test('every problem is told at once, each by its path', () => {
  const options = {
    heartbeat: { intervalms: 1, timeoutMs: 0 },
    limits: { maxPerPeer: -3 },
    drian: {},
    log: true,
  }
  assert.deepEqual([...problemsOf(options)].sort(), [
    'drian: unknown option, did you mean drain?',
    'heartbeat.intervalms: unknown option, did you mean heartbeat.intervalMs?',
    'heartbeat.timeoutMs: must be a number of milliseconds above 0, not 0',
    'limits.maxPerPeer: must be a whole number above 0, or false, not -3',
    'log: must be false, or a logger, as pino() or console; not true',
  ])
  assert.throws(
    () => peerpulse(options as never),
    /^ConfigError: peerpulse: 5 problems in the options:\n {2}/,
  )
})

test('several unknown options of one section, of its parts, and contradictions are told at once', () => {
  assert.deepEqual(
    [
      ...problemsOf({
        heartbeat: { intervalms: 1, timeoutms: 1, colour: 'red', toString: 1 },
        pressure: {
          enter: 'high',
          monitors: [{ name: 'очередь', read: 1 }, null],
          actions: { evikt: 1, pauseReeding: 1, evict: 2 },
          memory: { limit: 1, limits: 2 },
        },
        probes: { livez: '/x', readyz: '/x', pressure: { failAfter: 1, maxOut: 2 } },
        budget: { highWaterBytes: 1 },
        drain: { deadlineMs: 1, signals: ['SIGKILL', 'x'] },
        lifetime: {},
        limits: { trustProxy: 'lb', maxPerPeer: 0 },
      }),
    ].map((problem) => problem.split(':')[0]),
    [
      'heartbeat.intervalms',
      'heartbeat.timeoutms',
      'heartbeat.colour',
      'heartbeat.toString',
      'pressure.enter',
      'drain.signals.0',
      'drain.signals.1',
      'lifetime.maxAgeMs',
      'limits.maxPerPeer',
      'pressure.monitors.0.name',
      'pressure.monitors.0.read',
      'pressure.monitors.1',
      'pressure.memory.limit',
      'pressure.memory.limits',
      'pressure.actions.evict',
      'pressure.actions.evikt',
      'pressure.actions.pauseReeding',
      'probes.pressure.failAfter',
      'probes.pressure.maxOut',
      'budget.lowWaterBytes',
      'drain.deadlineMs',
      'probes',
      'limits.trustProxy',
    ],
  )
})

test('a contradiction is not told where one of its options is wrong anyway', () => {
  assert.deepEqual(problemsOf({ budget: { highWaterBytes: 'much', lowWaterBytes: 2 ** 21 } }), [
    "budget.highWaterBytes: must be a number of bytes above 0, not 'much'",
  ])
  assert.deepEqual(problemsOf({ heartbeat: { intervalMs: 30_000 }, behind: {} }), [
    'behind.idleTimeoutMs: is required',
  ])
  assert.deepEqual(problemsOf({ drain: { deadlineMs: 10_000, spreadMs: -1 } }), [
    'drain.spreadMs: must be a number of milliseconds, 0 or more, not -1',
  ])
})

test('lists and objects that hold themselves are refused like others', () => {
  const list: unknown[] = [1]
  list.push(list)
  const object: Record<string, unknown> = { maxConnections: 1 }
  object.self = object
  for (const options of [
    list,
    { pressure: { enter: list } },
    { pressure: { monitors: list } },
    { drain: { signals: list } },
    { limits: { trustProxy: list } },
    { limits: object },
    { log: list },
    object,
  ])
    assert.ok(problemsOf(options).length > 0)
  const log = { info() {}, warn() {}, error() {}, self: {} }
  log.self = log
  assert.equal(resolve({ log }).log, log)
})

describe('monitors', () => {
  const read = () => 0
  test('have names that can stand anywhere', () => {
    for (const name of ['queue', 'a', 'db.pool-1_x', 'x'.repeat(64)])
      assert.ok(resolve({ pressure: { monitors: [{ name, read }] } }))
    for (const name of ['', ' ', 'a b', 'очередь', 'a\r\nb', 'x'.repeat(65), '-a', 'a:b', 3, undefined, null])
      assert.match(
        problemsOf({ pressure: { monitors: [{ name, read }] } }).join(),
        /^pressure\.monitors\.0\.name: must be letters, digits, '\.', '_' or '-', 64 at most, not /,
      )
    assert.deepEqual(
      problemsOf({
        pressure: {
          monitors: [
            { name: 'a', read },
            { name: 'a', read },
          ],
        },
      }),
      ["pressure.monitors.1.name: 'a' is that of pressure.monitors.0 too"],
    )
  })
})

describe('an action with a pressure of its own', () => {
  const at = (pressure: number, enter?: number[], leave?: number[]) => ({
    pressure: { actions: { refuseRequests: pressure }, ...(enter && { enter, leave }) },
  })
  test('is refused where it would never end', () => {
    for (const options of [
      at(0.5, [0.8, 0.95], [0.3, 0.6]),
      at(0.1),
      at(0.05),
      at(0.3, [0.7, 0.9], [0.4, 0.6]),
      at(0.95, [0.8, 0.95], [0.001, 0.0005 + 0.0005]),
    ])
      assert.match(
        problemsOf(options).join('; '),
        /pressure\.(actions\.refuseRequests: .* would never end|leave)/,
      )
  })
  test('is taken where it ends', () => {
    for (const options of [at(0.11), at(0.96), at(1), at(0.51, [0.8, 0.95], [0.3, 0.6])])
      assert.ok(resolve(options).pressure)
  })
})

test('probes may be switched off one by one', () => {
  for (const probes of [
    { livez: false },
    { startupz: false, readyz: false },
    { livez: false, readyz: false, startupz: false },
  ])
    assert.deepEqual(resolve({ probes }).probes, { ...defaults.probes, ...probes })
})

test('what is kept of closes is bounded, whatever is asked for', () => {
  for (const name of ['maxCloses', 'maxPeers'])
    for (const most of [1_000_001, 2 ** 24, 2 ** 32, 1e10, Number.MAX_SAFE_INTEGER, 1e308])
      assert.deepEqual(problemsOf({ history: { [name]: most } }), [
        `history.${name}: must be a whole number from 1 to 1000000, not ${most}`,
      ])
  assert.ok(peerpulse({ history: { maxCloses: 1_000_000, maxPeers: 1_000_000 } }))
})

describe('milliseconds that were meant as seconds', () => {
  async function warningsOf(options: PeerpulseOptions): Promise<string[]> {
    const pulse = peerpulse(options)
    const messages: string[] = []
    pulse.on('warning', ({ code, message }) => messages.push(`${code} ${message}`))
    await Promise.resolve()
    return messages
  }
  test('are warned of, and taken', async () => {
    assert.deepEqual(await warningsOf({ heartbeat: { intervalMs: 25 } }), [
      'PEERPULSE_WARN_SECONDS heartbeat.intervalMs: 25 means 25 milliseconds, which is too short for anything (at least 100 is usual); was 25000 meant?',
    ])
    const paths = await warningsOf({
      behind: { idleTimeoutMs: 60 },
      heartbeat: { tcpKeepAliveMs: 30, timeoutMs: 10 },
      drain: { terminationGraceMs: 30 },
      idle: { websocketMs: 90, sseMs: 60, upgradedMs: 60, inboundMs: 60 },
      lifetime: { maxAgeMs: 60 },
      limits: { handshakeTimeoutMs: 10 },
      budget: { stalledMs: 2 },
    })
    assert.equal(paths.length, 11)
  })
  test('are named beside the contradiction that they make', () => {
    assert.deepEqual(problemsOf({ heartbeat: { intervalMs: 25 }, behind: { idleTimeoutMs: 60 } }), [
      'heartbeat.intervalMs: 25 ms is more than 0.4 of behind.idleTimeoutMs (60 ms); leave it out, or set it to at most 24',
      'behind.idleTimeoutMs: 60 means 60 milliseconds, which is too short for anything (at least 1000 is usual); was 60000 meant?',
      'heartbeat.intervalMs: 25 means 25 milliseconds, which is too short for anything (at least 100 is usual); was 25000 meant?',
    ])
  })
  test('are told by the logger', async () => {
    const lines: string[] = []
    const write = (_fields: unknown, message?: string) => void lines.push(message ?? '')
    peerpulse({ idle: { sseMs: 60 }, log: { info: write, warn: write, error: write } as never })
    await Promise.resolve()
    assert.equal(lines.length, 1)
  })
  test('are not where somebody may want them, a test for one, nor where nothing was given', async () => {
    assert.deepEqual(await warningsOf({}), [])
    assert.deepEqual(
      await warningsOf({
        heartbeat: { intervalMs: 100, timeoutMs: 100, tcpKeepAliveMs: 1_000 },
        idle: { websocketMs: 100, sseMs: false },
        drain: { readinessDelayMs: 0, spreadMs: 5, closeTimeoutMs: 10, deadlineMs: 50, hookTimeoutMs: 5 },
        pressure: { dwellMs: 0, warmUpMs: 0 },
        probes: { checkTimeoutMs: 50, cacheMs: 1 },
        behind: { idleTimeoutMs: 1_000 },
      }),
      [],
    )
  })
})

describe('0 is a value', () => {
  test('it is kept where nothing is a sensible amount', () => {
    const config = resolve({
      lifetime: { maxAgeMs: 1_000, jitter: 0 },
      pressure: { dwellMs: 0, warmUpMs: 0 },
      drain: { readinessDelayMs: 0, spreadMs: 0 },
      probes: { cacheMs: 0, port: 0 },
      limits: { trustProxy: 0 },
    })
    assert.ok(config.lifetime && config.pressure && config.drain && config.probes && config.limits)
    assert.equal(config.lifetime.jitter, 0)
    assert.deepEqual([config.pressure.dwellMs, config.pressure.warmUpMs], [0, 0])
    assert.deepEqual([config.drain.readinessDelayMs, config.drain.spreadMs], [0, 0])
    assert.deepEqual([config.probes.cacheMs, config.probes.port], [0, 0])
    assert.equal(config.limits.trustProxy, 0)
  })

  test('it is refused where it cannot be meant, and never taken for the default', () => {
    for (const options of [
      { heartbeat: { timeoutMs: 0 } },
      { heartbeat: { tcpKeepAliveMs: 0 } },
      { idle: { websocketMs: 0 } },
      { budget: { stalledMs: 0 } },
      { budget: { totalBytes: 0 } },
      { limits: { maxConnections: 0 } },
      { drain: { deadlineMs: 0 } },
      { behind: { idleTimeoutMs: 0 } },
      { history: { maxCloses: 0 } },
    ]) {
      const [problem, ...more] = problemsOf(options)
      assert.match(problem ?? '', /, not 0$/)
      assert.deepEqual(more, [])
    }
  })
})

describe('defaults', () => {
  test('no options, no sections and undefined are all the defaults', () => {
    const config = resolve()
    assert.deepEqual(config, defaults)
    assert.deepEqual(resolve({}), config)
    assert.deepEqual(resolve({ heartbeat: {}, drain: {}, pressure: { memory: {} } }), config)
    const undefinedEverywhere = Object.fromEntries(
      Object.entries(defaults).map(([name, section]) => [
        name,
        typeof section === 'object'
          ? Object.fromEntries(Object.keys(section).map((key) => [key, undefined]))
          : undefined,
      ]),
    )
    assert.deepEqual(resolve(undefinedEverywhere), config)
    assert.deepEqual(resolve({ pressure: { memory: { limitBytes: undefined } } }), config)
  })

  test('one option leaves its neighbours at their defaults', () => {
    const config = resolve({ heartbeat: { timeoutMs: 5_000 }, lifetime: { maxAgeMs: 60_000 } })
    assert.deepEqual(config.heartbeat, { ...defaults.heartbeat, timeoutMs: 5_000 })
    assert.deepEqual(config.lifetime, { maxAgeMs: 60_000, jitter: 0.1 })
    assert.deepEqual(config.drain, defaults.drain)
  })

  test('false switches off every section', () => {
    for (const name of Object.keys(defaults)) {
      assert.equal((resolve({ [name]: false }) as unknown as Record<string, unknown>)[name], false, name)
    }
  })
})

describe('contradictions', () => {
  const contradictions: [unknown, string][] = [
    [
      { budget: { lowWaterBytes: 2_000_000 } },
      'budget.lowWaterBytes: 2000000 must be below budget.highWaterBytes (1048576)',
    ],
    [
      { budget: { highWaterBytes: 20_000_000 } },
      'budget.highWaterBytes: 20000000 must not be above budget.perConnectionBytes (16777216)',
    ],
    [
      { budget: { totalBytes: 1_000_000 } },
      'budget.totalBytes: 1000000 must not be below budget.perConnectionBytes (16777216)',
    ],
    [{ pressure: { enter: [0.95, 0.9] } }, 'pressure.enter: elevated (0.95) must be below critical (0.9)'],
    [{ pressure: { leave: [0.7, 0.6] } }, 'pressure.leave: elevated (0.7) must be below critical (0.6)'],
    [
      { pressure: { leave: [0.8, 0.85] } },
      'pressure.leave: 0.8 must be below pressure.enter (0.8), or the level flaps',
    ],
    [
      { pressure: { leave: [0.7, 0.95] } },
      'pressure.leave: 0.95 must be below pressure.enter (0.92), or the level flaps',
    ],
    [
      { drain: { deadlineMs: 10_000 } },
      'drain.deadlineMs: 10000 ms is shorter than its phases (readinessDelayMs + spreadMs + closeTimeoutMs = 12000 ms); raise it or shorten them',
    ],
    [
      { drain: { terminationGraceMs: 30_000, deadlineMs: 20_000 } },
      'drain.deadlineMs: is fitted to drain.terminationGraceMs and may not be given beside it; leave one of the two out',
    ],
    [
      { drain: { terminationGraceMs: 30_000, readinessDelayMs: 0 } },
      'drain.readinessDelayMs: is fitted to drain.terminationGraceMs and may not be given beside it; leave one of the two out',
    ],
    [
      { drain: { terminationGraceMs: 30_000, spreadMs: 0 } },
      'drain.spreadMs: is fitted to drain.terminationGraceMs and may not be given beside it; leave one of the two out',
    ],
    [
      { drain: { terminationGraceMs: 30_000, closeTimeoutMs: 1 } },
      'drain.closeTimeoutMs: is fitted to drain.terminationGraceMs and may not be given beside it; leave one of the two out',
    ],
    [
      { probes: { livez: '/health', readyz: '/health' } },
      'probes: livez, readyz and startupz must have three different paths',
    ],
    [
      { behind: { idleTimeoutMs: 60_000 }, heartbeat: { intervalMs: 30_000 } },
      'heartbeat.intervalMs: 30000 ms is more than 0.4 of behind.idleTimeoutMs (60000 ms); leave it out, or set it to at most 24000',
    ],
  ]
  for (const [options, message] of contradictions) {
    test(message, () => assert.deepEqual(problemsOf(options), [message]))
  }

  test('are told all at once, too', () => {
    assert.equal(
      problemsOf({ budget: { highWaterBytes: 1, totalBytes: 2 }, drain: { deadlineMs: 1 } }).length,
      3,
    )
  })

  test('cannot be in a section that is off', () => {
    assert.equal(resolve({ heartbeat: false, behind: { idleTimeoutMs: 1_000 } }).heartbeat, false)
    assert.equal(resolve({ drain: false }).drain, false)
  })
})

describe('what is derived', () => {
  const intervalOf = (options: unknown) => {
    const { heartbeat } = resolve(options)
    assert.ok(heartbeat)
    return heartbeat.intervalMs
  }

  test('the ping interval from behind.idleTimeoutMs: at most 0.4 of it, and never more than the default', () => {
    assert.equal(intervalOf({ behind: { idleTimeoutMs: 60_000 } }), 24_000)
    assert.equal(intervalOf({ behind: { idleTimeoutMs: 350_000 } }), 25_000)
    assert.equal(intervalOf({ behind: { idleTimeoutMs: 60_000 }, heartbeat: { timeoutMs: 1 } }), 24_000)
  })

  test('a ping interval that is given and fits is kept', () => {
    assert.equal(intervalOf({ behind: { idleTimeoutMs: 60_000 }, heartbeat: { intervalMs: 5_000 } }), 5_000)
    assert.equal(intervalOf({ behind: { idleTimeoutMs: 60_000 }, heartbeat: { intervalMs: 24_000 } }), 24_000)
  })

  test('the drain from terminationGraceMs', () => {
    const durations = (terminationGraceMs: number) => {
      const { drain } = resolve({ drain: { terminationGraceMs } })
      assert.ok(drain)
      return [drain.readinessDelayMs, drain.spreadMs, drain.closeTimeoutMs, drain.deadlineMs]
    }
    assert.deepEqual(durations(30_000), [5_000, 5_000, 2_000, 27_500])
    assert.deepEqual(durations(10_000), [1_800, 1_800, 720, 9_000])
    assert.deepEqual(durations(60_000), [5_000, 5_000, 2_000, 55_000])
  })

  test('any terminationGraceMs gives phases that fit into a deadline before it', () => {
    fc.assert(
      fc.property(fc.double({ min: 2, max: 1e7, noNaN: true }), (terminationGraceMs) => {
        const { drain } = resolve({ drain: { terminationGraceMs } })
        assert.ok(drain)
        const phases = drain.readinessDelayMs + drain.spreadMs + drain.closeTimeoutMs
        assert.ok(phases <= drain.deadlineMs, `${phases} of ${drain.deadlineMs}`)
        assert.ok(drain.deadlineMs < terminationGraceMs)
        assert.ok(drain.closeTimeoutMs > 0)
      }),
    )
  })

  test('any idleTimeoutMs of a balancer gives a ping interval inside it', () => {
    fc.assert(
      fc.property(fc.double({ min: 1, max: 1e7, noNaN: true }), (idleTimeoutMs) => {
        const intervalMs = intervalOf({ behind: { idleTimeoutMs } })
        assert.ok(intervalMs >= 1 && intervalMs <= Math.max(1, idleTimeoutMs * 0.4))
      }),
    )
  })
})

describe('the resolved config', () => {
  test('is frozen throughout', () => {
    const { config } = peerpulse({
      lifetime: { maxAgeMs: 1_000 },
      behind: { idleTimeoutMs: 60_000 },
      limits: { trustProxy: ['10.0.0.0/8'] },
    })
    const lookInto = (value: unknown, at: string): void => {
      if (typeof value !== 'object' || value === null) return
      assert.ok(Object.isFrozen(value), `${at} is frozen`)
      for (const [key, inner] of Object.entries(value)) lookInto(inner, `${at}.${key}`)
    }
    lookInto(config, 'config')
    assert.throws(() => {
      ;(config.heartbeat as { intervalMs: number }).intervalMs = 1
    }, TypeError)
  })

  test("shares nothing with the caller's objects, and freezes none of them", () => {
    const log = { info() {}, warn() {}, error() {} }
    const options = {
      pressure: { enter: [0.5, 0.6], leave: [0.3, 0.4], memory: { limitBytes: 1e9 } },
      drain: { signals: ['SIGTERM'] },
      limits: { trustProxy: ['10.0.0.1'] },
      log,
    }
    const config = resolve(options)
    options.pressure.enter[0] = 0.1
    options.pressure.memory.limitBytes = 1
    options.drain.signals.push('SIGHUP')
    options.limits.trustProxy.pop()
    assert.ok(config.pressure && config.drain && config.limits)
    assert.deepEqual(config.pressure.enter, [0.5, 0.6])
    assert.deepEqual(config.pressure.memory, { limitBytes: 1e9 })
    assert.deepEqual(config.drain.signals, ['SIGTERM'])
    assert.deepEqual(config.limits.trustProxy, ['10.0.0.1'])
    assert.equal(config.log, log)
    assert.ok(!Object.isFrozen(log))
  })
})

// Random options ---------------------------------------------------------------------------------

const values = fc.oneof(
  fc.constantFrom(
    false,
    true,
    null,
    undefined,
    0,
    1,
    -1,
    0.5,
    5_000,
    1e9,
    'auto',
    'loopback',
    '/x',
    'SIGTERM',
    '10.0.0.1',
  ),
  fc.double(),
  fc.integer(),
  fc.string(),
  fc.array(fc.oneof(fc.double(), fc.string()), { maxLength: 3 }),
  fc.constantFrom(() => 0, Symbol('s'), 1n, new Date(0), new Map()),
)
const rightNames = [
  ...Object.keys(defaults),
  ...Object.values(defaults).flatMap((section) => (typeof section === 'object' ? Object.keys(section) : [])),
  'maxAgeMs',
  'idleTimeoutMs',
  'terminationGraceMs',
]
const names = fc.oneof({ weight: 9, arbitrary: fc.constantFrom(...rightNames) }, fc.string())
/** Mostly right names with mostly wrong values, in sections. */
const junkSections = fc.dictionary(
  fc.oneof({ weight: 9, arbitrary: fc.constantFrom(...Object.keys(defaults)) }, fc.string()),
  fc.oneof({ weight: 3, arbitrary: fc.dictionary(names, values, { maxKeys: 3 }) }, values),
  { maxKeys: 4 },
)
const junk = fc.oneof({ weight: 5, arbitrary: junkSections }, fc.anything({ withNullPrototype: true }))

/** Whether a value is one that the product's own words allow: no NaN, no negative number, nothing that is null. */
function assertSane(value: unknown, at: string): void {
  assert.notEqual(value, null, at)
  assert.notEqual(value, undefined, at)
  if (typeof value === 'number') assert.ok(Number.isFinite(value) && value >= 0, `${at} is ${value}`)
  if (at === 'config.log') return
  if (typeof value === 'object' && value !== null)
    for (const [key, inner] of Object.entries(value)) assertSane(inner, `${at}.${key}`)
}

test('junk is either refused with a ConfigError that names it, or accepted whole', () => {
  fc.assert(
    fc.property(junk, (options) => {
      let config: ReturnType<typeof resolve>
      try {
        config = resolve(options)
      } catch (error) {
        assert.ok(error instanceof ConfigError, `${String(error)}`)
        assert.ok(error.problems.length > 0)
        for (const problem of error.problems) assert.match(problem, /^.*: ./s)
        return
      }
      // Accepted: everything that was given is there, everything else is at its default, and all of it is usable.
      assertSane(config, 'config')
      assert.deepEqual(Object.keys(config).sort(), Object.keys(defaults).sort())
      for (const [name, section] of Object.entries((options ?? {}) as Record<string, unknown>)) {
        const resolved = (config as unknown as Record<string, unknown>)[name]
        if (section === undefined) continue
        if (typeof section !== 'object' || section === null || name === 'log') {
          assert.equal(resolved, section)
          continue
        }
        for (const [key, value] of Object.entries(section)) {
          if (value !== undefined && key !== 'memory')
            assert.deepEqual((resolved as Record<string, unknown>)[key], value, `${name}.${key}`)
        }
      }
    }),
    { numRuns: 2_000 },
  )
})

const positive = fc.integer({ min: 1, max: 1e8 })
const positiveOrOff = fc.oneof(positive, fc.constant(false as const))
const wellFormed: fc.Arbitrary<PeerpulseOptions> = fc.record(
  {
    heartbeat: fc.record({ timeoutMs: positive, tcpKeepAliveMs: positiveOrOff }, { requiredKeys: [] }),
    idle: fc.record({ websocketMs: positiveOrOff, inboundMs: positiveOrOff }, { requiredKeys: [] }),
    lifetime: fc.record({ maxAgeMs: positive, jitter: fc.double({ min: 0, max: 1, noNaN: true }) }),
    budget: fc.record({ stalledMs: positive, totalBytes: fc.integer({ min: 2 ** 24, max: 2 ** 40 }) }),
    limits: fc.record({ maxConnections: positiveOrOff, maxPerPeer: positiveOrOff }, { requiredKeys: [] }),
    drain: fc.record({ deadlineMs: fc.integer({ min: 12_000, max: 1e7 }), restart: fc.boolean() }),
    behind: fc.record({ idleTimeoutMs: fc.integer({ min: 100, max: 1e7 }) }),
    history: fc.oneof(
      fc.constant(false as const),
      fc.record({ maxCloses: fc.integer({ min: 1, max: 1e6 }) }),
    ),
    dryRun: fc.boolean(),
  },
  { requiredKeys: [] },
)

test('well-formed options are accepted, and what came out goes in again unchanged', () => {
  fc.assert(
    fc.property(wellFormed, (options) => {
      const config = resolve(options)
      assert.deepEqual(resolve(config), config)
    }),
  )
})

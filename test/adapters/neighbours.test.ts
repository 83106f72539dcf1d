import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { describe, type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { type PeerpulseOptions, peerpulse } from 'peerpulse'
import { WebSocketServer } from 'ws'
import { openWebSocket, start } from '../policies/support.js'
import { until } from '../support/wait.js'

const script = fileURLToPath(new URL('./neighbours-process.js', import.meta.url))

/** What a process prints that has such listeners, until it kills itself or `enough` matches. */
async function printed(t: TestContext, kind: string, enough = /never/): Promise<string> {
  const { NODE_TEST_CONTEXT: _, ...env } = process.env
  const child = spawn(process.execPath, [script, kind], { env, stdio: ['ignore', 'pipe', 'inherit'] })
  t.after(() => child.kill('SIGKILL'))
  let output = ''
  child.stdout.on('data', (chunk) => {
    output += chunk
    if (enough.test(output)) child.kill('SIGKILL')
  })
  await once(child, 'close')
  assert.match(output, /ready/)
  return output
}

describe('a listener of a signal of ours is warned of at attach, once, if it', () => {
  for (const [kind, who] of [
    ['calls exit', 'SIGTERM (a function without a name)'],
    ['exits when its server is closed', 'SIGINT (cleanUp)'],
    ['calls a shutdown', 'SIGTERM (a function without a name)'],
    ['is bound', 'SIGTERM (bound exit)'],
    ['sends itself the signal', 'SIGTERM (a function without a name)'],
    ['is terminus', 'SIGTERM (cleanup)'],
  ] as const)
    test(kind, async (t) => {
      const output = await printed(t, kind)
      assert.equal(output.split('PEERPULSE_WARN_SIGNAL_HANDLER').length, 2, output)
      assert.ok(output.includes(`before the drain is done: ${who}. `), output)
    })

  test('came after attach', async (t) => {
    assert.match(await printed(t, 'late', /HANDLER/), /ready\nPEERPULSE_WARN_SIGNAL_HANDLER /)
  })
})

describe('no listener of a signal is warned of that', () => {
  for (const kind of [
    'nothing',
    'takes note',
    'stops a child and a client',
    'looks whether it is alone',
    'counts the others',
    'tells of it',
    'is another signal',
    'is another pulse',
  ])
    test(kind, async (t) => assert.equal(await printed(t, kind), 'ready\n'))
})

/** The codes of the warnings of a pulse. */
function codesOf(pulse: {
  on(event: 'warning', listener: (warning: { code: string }) => void): unknown
}): string[] {
  const codes: string[] = []
  pulse.on('warning', ({ code }) => codes.push(code))
  return codes
}

describe('another heartbeat on the same WebSockets', () => {
  test('of another pulse is warned of at attach, whatever was attached first', async (t) => {
    const attach = (
      options: PeerpulseOptions,
      ...targets: Parameters<ReturnType<typeof peerpulse>['attach']>
    ) => {
      const pulse = peerpulse({ drain: false, ...options })
      t.after(() => pulse.detach())
      const codes = codesOf(pulse)
      pulse.attach(...targets)
      pulse.attach(...targets)
      return { pulse, codes }
    }
    const server = createServer()
    const wss = new WebSocketServer({ server })
    t.after(() => wss.close())
    const first = attach({}, server)
    assert.deepEqual(first.codes, [])
    assert.deepEqual(attach({ heartbeat: false }, server, wss).codes, [])
    const second = attach({}, wss)
    assert.deepEqual(second.codes, ['PEERPULSE_WARN_TWO_HEARTBEATS'])
    // Plain HTTP has no heartbeat of which there could be two.
    const plain = createServer()
    attach({}, plain)
    assert.deepEqual(attach({}, plain).codes, [])
    await first.pulse.detach()
    await second.pulse.detach()
    assert.deepEqual(attach({}, server, wss).codes, [])
  })

  test('of the app is seen by its flag and its listener for pongs, and told once', async (t) => {
    const { pulse, port, wss } = await start(t, {})
    const codes = codesOf(pulse)
    wss.on('connection', (webSocket) => {
      Object.assign(webSocket, { isAlive: true })
      webSocket.on('pong', () => {})
    })
    await openWebSocket(t, port)
    await until(() => codes.length > 0, 'the warning')
    await openWebSocket(t, port)
    await until(() => pulse.snapshot().connections.open === 2, 'a look at both')
    await new Promise((resolve) => setTimeout(resolve, 300))
    assert.deepEqual(codes, ['PEERPULSE_WARN_TWO_HEARTBEATS'])
  })

  test('is none where a listener only wants to know, or the pulse has no heartbeat', async (t) => {
    for (const [options, flag] of [
      [{}, {}],
      [{ heartbeat: false }, { isAlive: true }],
    ] as const) {
      const { pulse, port, wss } = await start(t, options)
      const codes = codesOf(pulse)
      wss.on('connection', (webSocket) => {
        Object.assign(webSocket, flag)
        webSocket.on('pong', () => {})
      })
      const client = await openWebSocket(t, port)
      client.ping()
      await once(client, 'pong')
      await new Promise((resolve) => setTimeout(resolve, 300))
      assert.deepEqual(codes, [])
    }
  })
})

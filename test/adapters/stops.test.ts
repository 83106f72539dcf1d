import assert from 'node:assert/strict'
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { type TestContext, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { DrainOptions } from 'peerpulse'
import { WebSocket } from 'ws'
import { until } from '../support/wait.js'

const script = fileURLToPath(new URL('./stops-process.js', import.meta.url))

async function startServer(t: TestContext, mode: string, drain: DrainOptions = {}) {
  const child = fork(script, [mode, JSON.stringify(drain)], { stdio: ['ignore', 'pipe', 'pipe', 'ipc'] })
  t.after(() => child.kill('SIGKILL'))
  const said: string[] = []
  child.stderr?.on('data', (chunk) => said.push(`stderr: ${chunk}`))
  createInterface(child.stdout as NodeJS.ReadableStream).on('line', (line) => said.push(line))
  const state: { code: number | null | undefined } = { code: undefined }
  child.on('exit', (code) => {
    state.code = code
  })
  const saw = (line: string, times = 1) =>
    until(
      () => said.filter((one) => one === line).length >= times || state.code !== undefined,
      `${line}, ${said.join('\n')}`,
    )
  await until(() => said.some((line) => /^(port|attached)/.test(line)), 'the server')
  const url = `http://127.0.0.1:${said.find((line) => line.startsWith('port'))?.slice('port '.length)}`
  return {
    child,
    said,
    saw,
    url,
    exit: () => until(() => state.code !== undefined, `the exit; ${said.join('\n')}`).then(() => state.code),
    get code() {
      return state.code
    },
    /** Again and again: the first of them may come within the second. */
    killUntilExit: (signal: NodeJS.Signals) =>
      until(() => {
        if (state.code === undefined) child.kill(signal)
        return state.code !== undefined
      }, 'the exit'),
    async open() {
      const webSocket = new WebSocket(url.replace('http', 'ws'))
      webSocket.on('error', () => {})
      const closed = once(webSocket, 'close').then(([code]) => code as number)
      await once(webSocket, 'open')
      // In an object: a promise would be waited for.
      return { closed }
    },
  }
}

for (const [mode, first, second] of [
  ['one pulse', 'SIGTERM', 'SIGTERM'],
  ['one pulse', 'SIGINT', 'SIGTERM'],
  ['two pulses', 'SIGTERM', 'SIGINT'],
  ['a slow handler', 'SIGTERM', 'SIGINT'],
] as const) {
  test(`${mode}: ${first} and ${second} at once are one stop; a later signal exits`, async (t) => {
    const drain = { readinessDelayMs: 60_000, spreadMs: 20_000, deadlineMs: 90_000 }
    const server = await startServer(t, mode, drain)
    await fetch(`${server.url}/endless`)
    server.child.kill(first)
    await server.saw(mode === 'a slow handler' ? 'blocked' : first)
    server.child.kill(second)
    await server.saw(second, first === second ? 2 : 1)
    assert.equal(server.code, undefined, 'it drains')
    assert.equal(await (await fetch(server.url)).text(), 'hello')
    await server.killUntilExit(second)
    assert.equal(server.code, second === 'SIGTERM' ? 128 + 15 : 128 + 2)
  })
}

test('a signal while an uncaught error drains changes nothing, also when it comes twice; a later one exits', async (t) => {
  const drain = { readinessDelayMs: 60_000, deadlineMs: 90_000, uncaught: true }
  const server = await startServer(t, 'one pulse', drain)
  await fetch(`${server.url}/throw`)
  await server.saw('delay')
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    server.child.kill(signal)
    await server.saw(signal)
  }
  assert.equal(server.code, undefined)
  assert.equal(await (await fetch(server.url)).text(), 'hello')
  await server.killUntilExit('SIGTERM')
  assert.equal(server.code, 128 + 15)
})

test("a parent's 'shutdown' message drains as a signal does, and said again it is the same stop", async (t) => {
  const server = await startServer(t, 'one pulse', { readinessDelayMs: 60_000, deadlineMs: 90_000 })
  const { closed } = await server.open()
  server.child.send('something else')
  server.child.send('shutdown')
  server.child.send('shutdown')
  assert.equal(await closed, 1012)
  assert.equal(await server.exit(), 0)
  const steps = ['delay', 'closing', 'done', 'onSignal', 'onShutdown']
  assert.deepEqual(server.said.slice(1), steps)
})

test('the first signal is no second stop, however long after the message of a parent it comes', async (t) => {
  const server = await startServer(t, 'one pulse', { deadlineMs: 90_000 })
  const answer = await fetch(`${server.url}/endless`)
  void answer.text().catch(() => {})
  server.child.send('shutdown')
  await server.saw('closing')
  // Longer than two signals of one stop are apart.
  await sleep(1_100)
  server.child.kill('SIGTERM')
  await server.saw('SIGTERM')
  assert.equal(await (await fetch(server.url)).text(), 'hello')
  await server.killUntilExit('SIGTERM')
  assert.equal(server.code, 128 + 15)
})

test('listening to the parent keeps no process alive, and takes no message from the app', async (t) => {
  const idle = await startServer(t, 'nothing to do')
  assert.equal(await idle.exit(), 0)
  const server = await startServer(t, 'messages')
  for (const message of ['one', 'two']) await new Promise((resolve) => server.child.send(message, resolve))
  await fetch(`${server.url}/listen`)
  server.child.send('three')
  await server.saw('message three')
  assert.deepEqual(server.said.slice(1), ['message one', 'message two', 'message three'])
})

const quick = { deadlineMs: 3_000, hookTimeoutMs: 500 }

for (const place of ['beforeShutdown', 'onSignal', 'onShutdown'] as const) {
  test(`detach() in ${place}: the shutdown goes on without the pulse`, async (t) => {
    const server = await startServer(t, `detach in ${place}`, quick)
    server.child.kill('SIGTERM')
    assert.equal(await server.exit(), 0)
    for (const line of ['detach done', 'onSignal', 'onShutdown'])
      assert.ok(server.said.includes(line), server.said.join('\n'))
  })

  test(`a hook that hangs behind detach() in ${place} has its time limit`, async (t) => {
    const server = await startServer(t, `detach and hang in ${place}`, quick)
    server.child.kill('SIGTERM')
    assert.equal(await server.exit(), 0)
    for (const line of [`drain.${place} threw: no end in 500 ms`, 'onShutdown'])
      assert.ok(server.said.includes(line), server.said.join('\n'))
  })

  test(`drain() in ${place} is the same drain`, async (t) => {
    const server = await startServer(t, `drain in ${place}`, quick)
    const { closed } = await server.open()
    server.child.kill('SIGTERM')
    assert.equal(await server.exit(), 0)
    assert.equal(await closed, 1012)
    const count = (line: string) => server.said.filter((one) => one === line).length
    assert.deepEqual([count('closing'), count('done'), count('drain done')], [1, 1, 1])
  })
}

for (const act of ['detach', 'drain'])
  for (const place of ['a listener', 'a cleanup', 'a check'])
    test(`${act}() in ${place} while a signal drains: it ends all the same`, async (t) => {
      const server = await startServer(t, `${act} in ${place}`, { ...quick, readinessDelayMs: 300 })
      await server.open()
      server.child.kill('SIGTERM')
      await server.saw('delay')
      if (place === 'a check') await fetch(`${server.url}/readyz`).catch(() => {})
      assert.equal(await server.exit(), 0)
      assert.ok(server.said.includes('onShutdown'), server.said.join('\n'))
    })

test('a clock that stops holds no shutdown up: the process is gone at its deadline and a second', async (t) => {
  const server = await startServer(t, 'a clock that stops', { deadlineMs: 1_000 })
  void fetch(`${server.url}/endless`).then(
    (answer) => answer.text().catch(() => {}),
    () => {},
  )
  const signalledAt = performance.now()
  server.child.kill('SIGTERM')
  assert.equal(await server.exit(), 0)
  assert.ok(performance.now() - signalledAt >= 1_000)
  assert.ok(!server.said.includes('done'))
})

for (const [path, level] of [
  ['/endless', 'warn'],
  ['/', 'info'],
] as const)
  test(`the report of a drain is told as ${level} after GET ${path}`, async (t) => {
    const { child, url, said, exit } = await startServer(t, 'a log', { deadlineMs: 600 })
    const response = await fetch(url + path)
    response.text().catch(() => {})
    child.kill('SIGTERM')
    assert.equal(await exit(), 0)
    assert.match(said.find((line) => line.includes('drained in')) ?? '', new RegExp(`^${level} peerpulse: `))
  })

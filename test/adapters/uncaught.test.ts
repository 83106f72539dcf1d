import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { createInterface } from 'node:readline'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { peerpulse } from 'peerpulse'
import { WebSocket } from 'ws'

const script = fileURLToPath(new URL('./uncaught-process.js', import.meta.url))

for (const [path, words, log] of [
  ['/throw', /Uncaught: Error: an exception\n/, false],
  ['/reject', /Uncaught: Error: a rejection\n/, false],
  ['/nothing', /Uncaught: undefined\n/, false],
  ['/throw', /^peerpulse: uncaughtException: the process drains, and exits with 1$/m, true],
] as const) {
  test(`after ${path}${log ? ', with a log,' : ''} nobody is cut off, and the exit code is 1`, async (t) => {
    const child = spawn(process.execPath, [script, log ? 'log' : 'no'])
    t.after(() => child.kill('SIGKILL'))
    const exit = once(child, 'exit')
    let said = ''
    child.stderr.on('data', (chunk: Buffer) => {
      said += chunk
    })
    const lines = createInterface(child.stdout)
    const [first] = (await once(lines, 'line')) as [string]
    lines.on('line', (line) => {
      said += `${line}\n`
    })
    const url = `http://127.0.0.1:${first.slice('port '.length)}`
    const webSocket = new WebSocket(url.replace('http', 'ws'))
    await once(webSocket, 'open')
    const closed = once(webSocket, 'close')
    const isThere = once(lines, 'line')
    const slow = fetch(`${url}/slow`)
    await isThere
    assert.equal(await (await fetch(url + path)).text(), 'hello')
    assert.equal(await (await slow).text(), 'finished')
    assert.equal(((await closed) as [number])[0], 1012)
    assert.deepEqual(await exit, [1, null])
    assert.match(said, words)
    assert.match(said, log ? /uncaughtException[\s\S]*uncaughtException/ : /another exception/)
    assert.match(said, /^onShutdown$/m)
  })
}

test('after an error while a signal drains the exit code is 1 as well', async (t) => {
  const child = spawn(process.execPath, [script, 'no'])
  t.after(() => child.kill('SIGKILL'))
  const exit = once(child, 'exit')
  const lines = createInterface(child.stdout)
  const [first] = (await once(lines, 'line')) as [string]
  const isThere = once(lines, 'line')
  const slow = fetch(`http://127.0.0.1:${first.slice('port '.length)}/slow`)
  await isThere
  child.kill('SIGTERM')
  assert.equal(await (await slow).text(), 'finished')
  assert.deepEqual(await exit, [1, null])
})

test('no listener is there unless it is asked for, and none after detach', async () => {
  const before = process.listenerCount('uncaughtException')
  const count = () => process.listenerCount('uncaughtException') - before
  const pulses = [{}, { uncaught: true }, { uncaught: true }].map((drain) =>
    peerpulse({ drain: { signals: [], ...drain } }),
  )
  const server = createServer()
  const counts = pulses.map((pulse) => {
    pulse.attach(server)
    return count()
  })
  assert.deepEqual(counts, [0, 1, 1])
  for (const pulse of pulses.reverse()) await pulse.detach()
  assert.equal(count(), 0)
})

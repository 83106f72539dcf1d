import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { WebSocket } from 'ws'
import { deafen } from '../scenarios/support.js'

const deadlineMs = 2_000
/** On an idle machine it is gone within 100 ms of the deadline; what is beyond 500 is for those that are busy. */
const patienceMs = 5_000

test('whatever hangs, the process is gone at its deadline, and says whom it cut off', async (t) => {
  const script = fileURLToPath(new URL('./deadline-process.js', import.meta.url))
  const child = spawn(process.execPath, [script], { stdio: ['ignore', 'pipe', 'inherit'] })
  t.after(() => child.kill('SIGKILL'))
  const exit = once(child, 'exit')
  const said: string[] = []
  const lines = createInterface(child.stdout)
  const [first] = (await once(lines, 'line')) as [string]
  lines.on('line', (line) => said.push(line))
  const url = `http://127.0.0.1:${first.slice('port '.length)}`
  const endless = await fetch(`${url}/endless`)
  const ended = endless.text().catch(() => 'cut off')
  const deaf = new WebSocket(url.replace('http', 'ws'))
  deaf.on('error', () => {})
  await once(deaf, 'open')
  deafen(deaf)
  const good = new WebSocket(url.replace('http', 'ws'))
  await once(good, 'open')
  const goodbye = once(good, 'close')

  const signalledAt = performance.now()
  child.kill('SIGTERM')
  assert.deepEqual(await exit, [0, null])
  const tookMs = performance.now() - signalledAt
  t.diagnostic(`gone ${Math.round(tookMs - deadlineMs)} ms after the deadline`)
  assert.ok(tookMs < deadlineMs + 500 + patienceMs, `${tookMs} ms`)
  assert.equal(((await goodbye) as [number])[0], 1012, 'a hook that hangs takes nothing from the peers')
  assert.equal(await ended, 'cut off')
  const report = said.find((line) => line.startsWith('peerpulse: drained in')) ?? assert.fail(said.join('\n'))
  assert.match(report, /cut off at the deadline: .*http1, 127\.0\.0\.1, GET \/endless/)
  assert.match(report, /websocket, 127\.0\.0\.1/)
  for (const hook of ['beforeShutdown', 'onSignal', 'onShutdown'])
    assert.ok(
      said.some((line) => line.startsWith(`peerpulse: drain.${hook} threw: no end in`)),
      `${hook}\n${said.join('\n')}`,
    )
})

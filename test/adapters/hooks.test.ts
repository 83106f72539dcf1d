import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'

async function shutDown(t: TestContext, path: string): Promise<{ said: string[]; code: number | null }> {
  const child = spawn(process.execPath, [fileURLToPath(new URL('./hooks-process.js', import.meta.url))])
  t.after(() => child.kill('SIGKILL'))
  const exit = once(child, 'exit')
  const said: string[] = []
  const lines = createInterface(child.stdout)
  const [first] = (await once(lines, 'line')) as [string]
  lines.on('line', (line) => said.push(line))
  const stuck = path === '/stuck' ? once(lines, 'line') : undefined
  const request = fetch(`http://127.0.0.1:${first.slice('port '.length)}${path}`).catch(() => undefined)
  await (stuck ?? request)
  child.kill('SIGTERM')
  const [code] = (await exit) as [number | null]
  return { said, code }
}

test('hooks run around the drain, in order; one that throws and one that hangs are reported and passed over', async (t) => {
  const { said, code } = await shutDown(t, '/')
  assert.equal(code, 0)
  assert.deepEqual(said, [
    'beforeShutdown',
    'drain.beforeShutdown threw: this must not stop the shutdown',
    'delay',
    'closing',
    'done',
    'onSignal',
    'database closed',
    'onShutdown',
    'drain.onShutdown threw: no end in 300 ms',
  ])
})

test('a request that never ends takes no time from the hooks', async (t) => {
  const { said, code } = await shutDown(t, '/stuck')
  assert.equal(code, 0)
  assert.ok(said.includes('terminating'))
  assert.ok(said.includes('database closed'), said.join('\n'))
})

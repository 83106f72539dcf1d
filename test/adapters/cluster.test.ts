import assert from 'node:assert/strict'
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { WebSocket } from 'ws'
import { until } from '../support/wait.js'
import type { Stop } from './cluster-process.js'

interface Said {
  ports?: number[]
  pids?: number[]
  phase?: string
  why?: string
  exit?: number
}

async function startWorkers(t: TestContext, policy: 'rr' | 'none', exclusive = false) {
  const script = fileURLToPath(new URL('./cluster-process.js', import.meta.url))
  const child: ChildProcess = fork(script, exclusive ? ['exclusive'] : [], {
    env: { ...process.env, NODE_CLUSTER_SCHED_POLICY: policy },
  })
  t.after(() => child.kill('SIGKILL'))
  const said: Said[] = []
  child.on('message', (message: Said) => said.push(message))
  const find = <K extends keyof Said>(key: K, value?: Said[K]) =>
    said.find((one) => one[key] !== undefined && (value === undefined || one[key] === value))
  const hello = await until(() => find('ports'), 'the workers')
  const [pid] = hello.pids ?? assert.fail()
  return { child, find, ports: hello.ports ?? assert.fail(), pid }
}

/** A WebSocket, with the worker that has it; or what it was answered. */
async function open(t: TestContext, port: number) {
  const webSocket = new WebSocket(`ws://127.0.0.1:${port}`)
  t.after(() => webSocket.terminate())
  const failed = new Promise<never>((_, reject) => {
    webSocket.on('unexpected-response', (_req, res) => reject(new Error(`answered ${res.statusCode}`)))
    webSocket.on('error', reject)
  })
  failed.catch(() => {})
  const peer: { pid: number; code: number | undefined } = { pid: 0, code: undefined }
  webSocket.on('close', (code) => {
    peer.code = code
  })
  const [data] = (await Promise.race([once(webSocket, 'message'), failed])) as [Buffer]
  peer.pid = Number(String(data))
  return peer
}

for (const [policy, stop] of [
  ['rr', 'SIGTERM'],
  ['rr', 'SIGINT'],
  ['rr', 'shutdown'],
  ['rr', 'worker.disconnect()'],
  ['rr', 'disconnect in the worker'],
  ['none', 'SIGTERM'],
] as const)
  test(`a worker stopped by ${stop} leaves the rotation (${policy}): newcomers go to the other one, and nobody is refused`, async (t) => {
    const { child, find, ports, pid } = await startWorkers(t, policy)
    const port = ports[0] as number
    const old: Awaited<ReturnType<typeof open>>[] = []
    await until(async () => {
      old.push(await open(t, port))
      return old.filter((peer) => peer.pid === pid).length >= 5
    }, 'peers of the first worker')
    child.send(stop)
    const why = stop.includes('disconnect') ? 'disconnect' : stop
    let came = 0
    while (find('exit') === undefined) {
      const peer = await open(t, port)
      if (find('phase', 'closing') === undefined) continue
      came++
      // One that was on its way when the closing began may come to the old one, and is told to go elsewhere.
      if (peer.pid === pid) old.push(peer)
    }
    assert.ok(came > 0)
    assert.equal(find('exit')?.exit, 0)
    assert.equal(find('phase', 'closing')?.why, why)
    for (const peer of old) {
      if (peer.pid === pid) await until(() => peer.code !== undefined, 'the close')
      assert.equal(peer.code, peer.pid === pid ? 1012 : undefined)
    }
  })

test('a worker with a port of its own listens until its peers are gone, as any server does', async (t) => {
  const { child, find, ports } = await startWorkers(t, 'rr', true)
  const url = `http://127.0.0.1:${ports[0]}`
  const slow = fetch(`${url}/slow`).then((answer) => answer.text())
  await fetch(url)
  child.send('SIGTERM' satisfies Stop)
  await until(() => find('phase', 'closing'), 'the closing')
  assert.equal(await (await fetch(url)).text(), 'hello')
  await fetch(`${url}/finish`)
  assert.equal(await slow, 'slow')
  await until(() => find('exit'), 'the exit')
  assert.equal(find('exit')?.exit, 0)
})

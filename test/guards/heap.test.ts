import assert from 'node:assert/strict'
import { type ChildProcess, fork } from 'node:child_process'
import { type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { heard } from '../support/wait.js'
import { openPeers } from './support.js'

const fixture = fileURLToPath(new URL('heap-process.js', import.meta.url))
/** They stay: what is made once, and the code that is compiled by then, is not counted. */
const first = 500
const measured = 2_000
/**
 * About 545 are measured here, and 568 by `npm run bench -- memory`; one more field of a connection is 8. From Node 24
 * on it is about 730: every list of two listeners or more has a property there, which takes 40.
 */
const mostBytes = Number.parseInt(process.versions.node, 10) < 24 ? 650 : 850

/** Without what differs from run to run: optimized code, code that is dropped, collections in the background. */
const execArgv = ['--expose-gc', '--no-opt', '--no-flush-bytecode', '--single-threaded-gc']

async function told(child: ChildProcess): Promise<number> {
  const [value] = await heard<[number]>(child, 'message', 60_000)
  return value
}

/** Bytes of heap for each of the measured WebSockets. */
async function bytesPerWebSocket(t: TestContext, variant: 'bare' | 'peerpulse'): Promise<number> {
  const child = fork(fixture, [variant], { execArgv })
  t.after(() => child.kill('SIGKILL'))
  const port = await told(child)
  const heapWith = (count: number) => {
    const answer = told(child)
    child.send(count)
    return answer
  }
  await openPeers(t, port, first)
  const before = await heapWith(first)
  await openPeers(t, port, measured)
  return ((await heapWith(first + measured)) - before) / measured
}

test(`an idle WebSocket takes at most ${mostBytes} bytes of heap more than with ws alone`, async (t) => {
  const bare = await bytesPerWebSocket(t, 'bare')
  const watched = await bytesPerWebSocket(t, 'peerpulse')
  t.diagnostic(`${Math.round(watched - bare)} bytes: ${Math.round(watched)} less ${Math.round(bare)}`)
  assert.ok(watched - bare <= mostBytes, `${watched - bare} bytes`)
  // A pulse that costs nothing was not there.
  assert.ok(watched - bare >= 100, `${watched - bare} bytes`)
})

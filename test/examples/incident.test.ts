import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { after, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'

const root = dirname(createRequire(import.meta.url).resolve('peerpulse/package.json'))
const started: ChildProcess[] = []

after(() => {
  for (const child of started) child.kill('SIGTERM')
})

/** Starts the demo; its processes, and those they start, are known by a mark in their environment. */
function startDemo() {
  const mark = `incident-test-${process.pid}-${started.length}`
  const child = spawn(process.execPath, [join(root, 'examples/incident/run.js'), '--quick'], {
    env: { ...process.env, INCIDENT_MARK: mark },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  started.push(child)
  const demo = { child, mark, output: '', closed: once(child, 'close') }
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (chunk: string) => {
      demo.output += chunk
    })
  }
  return demo
}

/** The processes that are left of a demo. They were killed, yet the kernel may need a moment. */
async function leftOf(mark: string): Promise<string[]> {
  let left: string[] = []
  for (let i = 0; i < 40; i++) {
    left = process.platform === 'linux' ? readdirSync('/proc').filter((pid) => isMarked(pid, mark)) : []
    if (left.length === 0) break
    await sleep(50)
  }
  return left
}

function isMarked(pid: string, mark: string): boolean {
  try {
    return (
      /^\d+$/.test(pid) && readFileSync(`/proc/${pid}/environ`, 'utf8').includes(`INCIDENT_MARK=${mark}\0`)
    )
  } catch {
    return false
  }
}

/** The peerpulse column of the table, by the label of its row. */
function pulseColumn(output: string): Map<string, string> {
  const lines = output.slice(output.indexOf('---')).split('\n')
  return new Map(lines.map((line) => [line.slice(0, 34).trim(), line.slice(68).trim()]))
}

describe('examples/incident', () => {
  it('plays the incident, and peerpulse keeps its promises', { timeout: 90_000 }, async () => {
    const demo = startDemo()
    const [code] = await demo.closed
    const { output } = demo
    assert.equal(code, 0, output)
    const cells = pulseColumn(output)
    const expected: Record<string, RegExp> = {
      'Process alive until SIGTERM?': /^yes$/,
      'Peak memory (256 MiB allowed)': /^\d+ MiB$/,
      'Healthy clients cut off': /^0$/,
      'still held at SIGTERM': /^0$/,
      'SIGTERM: who got a close frame?': /^12 of 12 clients, code 1012$/,
      'the request in flight': /^answered with 200$/,
      'the process': /^exit code 0 after /,
      healthy: /^12 x drain$/,
      'vanished without a word': /^4 x half-open$/,
      reset: /^6 x peer-reset$/,
      'abandoned subscription': /^\d+ x idle-timeout$/,
      'stopped reading': /^\d x (slow-consumer|half-open)/,
    }
    for (const [label, pattern] of Object.entries(expected)) {
      assert.match(cells.get(label) ?? 'no such row', pattern, `${label}\n${output}`)
    }
    assert.match(output, /peerpulse kept its promises/)
    const tooLong = output.split('\n').filter((line) => line.length > 100)
    assert.deepEqual(tooLong, [], 'lines that do not fit on a terminal of 100 columns')
    assert.deepEqual(await leftOf(demo.mark), [])
  })

  it('leaves no process behind when it is interrupted', { timeout: 60_000 }, async () => {
    const demo = startDemo()
    while (!demo.output.includes('SIGSTOP') && demo.child.exitCode === null) await sleep(50)
    demo.child.kill('SIGINT')
    const [code] = await demo.closed
    assert.equal(code, 130, demo.output)
    assert.deepEqual(await leftOf(demo.mark), [])
  })
})

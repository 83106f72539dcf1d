import assert from 'node:assert/strict'
import { type ChildProcess, fork } from 'node:child_process'
import { mkdirSync, rmdirSync, writeFileSync } from 'node:fs'
import { type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { cgroupLevels, findCgroup } from '../../lib/monitors/cgroup.js'
import { heard, until } from '../support/wait.js'
import { grownBytes, type Look, type Order } from './container-process.js'

const fixture = fileURLToPath(new URL('container-process.js', import.meta.url))
/** Far above what the test needs, so that the kernel never ends it. */
const limitBytes = 512 * 1024 ** 2

/**
 * A control group with a limit, and one in it without: their directories. Skips where none can be made. `end` ends what
 * was put there.
 */
function makeGroups(t: TestContext, end: () => Promise<void>): { outer: string; inner: string } | undefined {
  const levels = cgroupLevels()
  if (levels?.version !== 'v1') {
    t.skip(`no memory controller of cgroup v1 here, but ${levels?.version ?? 'none at all'}`)
    return undefined
  }
  const around = findCgroup()
  if (around !== undefined && around.limitBytes <= limitBytes) {
    t.skip(`${around.directory} has a tighter limit already`)
    return undefined
  }
  const outer = `${levels.directories.at(-1)}/peerpulse-test-${process.pid}`
  const inner = `${outer}/inner`
  try {
    mkdirSync(outer)
  } catch (error) {
    t.skip(`no control group can be made here: ${(error as Error).message}`)
    return undefined
  }
  t.after(async () => {
    await end()
    // Busy until the kernel has noticed that its processes are gone.
    await until(() => removed(inner) && removed(outer), 'the control groups to be empty')
  })
  mkdirSync(inner)
  writeFileSync(`${outer}/memory.limit_in_bytes`, String(limitBytes))
  return { outer, inner }
}

function removed(directory: string): boolean {
  try {
    rmdirSync(directory)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT'
  }
  return true
}

test("a real control group: its limit is found from a group inside it, and a child process' memory counts", async (t) => {
  let child: ChildProcess | undefined
  const groups = makeGroups(t, async () => {
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    const exited = heard(child, 'exit')
    child.kill('SIGKILL')
    await exited
  })
  if (groups === undefined) return
  const started = fork(fixture, { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] })
  child = started
  await heard(started, 'message')
  writeFileSync(`${groups.inner}/cgroup.procs`, String(started.pid))
  const ask = async (order: Order): Promise<Look> => {
    const answer = heard<[Look]>(started, 'message')
    started.send(order)
    return (await answer)[0]
  }

  const before = await ask('look')
  assert.equal(before.directory, groups.outer)
  assert.equal(before.told.limitBytes, limitBytes)
  assert.equal(before.told.limitSource, 'memory.limit_in_bytes')
  assert.equal(before.told.version, 'v1')

  const after = await ask('grow')
  const grown = Number(after.told.workingSetBytes) - Number(before.told.workingSetBytes)
  assert.ok(grown >= grownBytes, `the child took ${grownBytes} bytes, the working set grew by ${grown}`)
  assert.ok(after.rssBytes - before.rssBytes < grownBytes / 2, 'it was the process itself that grew')
  assert.equal(after.reading, Number(after.told.workingSetBytes) / limitBytes)
})

import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { findCgroup } from '../../lib/monitors/cgroup.js'
import { createContainerMonitor } from '../../lib/monitors/container.js'
import { openFiles } from '../../lib/monitors/files.js'
import {
  dockerV1,
  dockerV2,
  FakeFiles,
  kubernetesV2,
  kubernetesV2Whole,
  MiB,
  machineBytes,
  type Tree,
} from './cgroup-trees.js'

function monitorOf(tree: Tree) {
  const files = new FakeFiles(tree)
  const cgroup = findCgroup(files, machineBytes) ?? assert.fail('no limit')
  files.reads = []
  return { monitor: createContainerMonitor(cgroup, files), files, cgroup }
}

describe('the working set of the container', () => {
  test('v2: what is used less inactive file pages, against the limit', () => {
    const { monitor } = monitorOf(dockerV2)
    assert.equal(monitor.read(), (200 - 60) / 256)
    assert.deepEqual(monitor.describe?.(), {
      limitBytes: 256 * MiB,
      limitSource: 'memory.max',
      usageBytes: 200 * MiB,
      workingSetBytes: 140 * MiB,
      keptBytes: 0,
      version: 'v2',
    })
  })

  test('v1: with the groups in it', () => {
    const { monitor } = monitorOf(dockerV1)
    assert.equal(monitor.read(), (220 - 70) / 256)
    assert.equal(monitor.describe?.().version, 'v1')
  })

  test('is that of the group whose limit is the tightest', () => {
    assert.equal(monitorOf(kubernetesV2Whole).monitor.read(), (300 - 100) / 384)
  })

  test('memory.stat is opened at first, and then read only where it could matter', () => {
    const { monitor, files } = monitorOf(kubernetesV2)
    const [current, stat] = ['/sys/fs/cgroup/memory.current', '/sys/fs/cgroup/memory.stat']
    monitor.read()
    assert.deepEqual(files.reads, [current, stat])
    assert.equal(monitor.read(), 120 / 512)
    assert.deepEqual(files.reads, [current, stat, current])
    files.tree['/sys/fs/cgroup/memory.current'] = String(257 * MiB)
    monitor.read()
    assert.equal(files.reads.at(-1), '/sys/fs/cgroup/memory.stat')
  })

  test('more inactive pages than usage, as the files are not of one moment: not below 0', () => {
    const { monitor, files } = monitorOf(dockerV2)
    files.tree['/sys/fs/cgroup/memory.stat'] = `anon 1\ninactive_file ${300 * MiB}\n`
    assert.equal(monitor.read(), 0)
  })

  test('a file that cannot be read, at first or later, or that says something else: an error that names it', () => {
    const { monitor, files } = monitorOf(dockerV2)
    monitor.read()
    delete files.tree['/sys/fs/cgroup/memory.stat']
    assert.throws(() => monitor.read(), /memory is unknown: \/sys\/fs\/cgroup\/memory\.stat cannot be read/)
    files.tree['/sys/fs/cgroup/memory.stat'] = 'anon 5\n'
    assert.throws(() => monitor.read(), /\/sys\/fs\/cgroup\/memory\.stat does not say it/)
    for (const nonsense of ['', '\n', 'max\n', '-4\n']) {
      files.tree['/sys/fs/cgroup/memory.current'] = nonsense
      assert.throws(() => monitor.read(), /\/sys\/fs\/cgroup\/memory\.current does not say it/)
    }
    delete files.tree['/sys/fs/cgroup/memory.current']
    assert.throws(() => monitor.read(), /\/sys\/fs\/cgroup\/memory\.current cannot be read/)
  })

  test('stop closes the files', () => {
    const { monitor, files } = monitorOf(dockerV2)
    monitor.stop?.()
    assert.equal(files.closed, 1)
  })
})

test('files stay open, are read anew from their beginning, and opened again after close', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'peerpulse-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const path = join(folder, 'memory.current')
  const files = openFiles()
  t.after(() => files.close())
  assert.equal(files.read(path), undefined)
  writeFileSync(path, '1048576\n')
  assert.equal(files.read(path), '1048576\n')
  writeFileSync(path, '7\n')
  assert.equal(files.read(path), '7\n', 'it kept some of what was there before')
  rmSync(path)
  assert.equal(files.read(path), '7\n', 'it was not kept open')
  files.close()
  assert.equal(files.read(path), undefined, 'it was not closed')
})

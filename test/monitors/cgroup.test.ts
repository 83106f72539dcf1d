import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { type CgroupLimitSource, findCgroup } from '../../lib/monitors/cgroup.js'
import { memoryLimit } from '../../lib/monitors/memory-limit.js'
import * as trees from './cgroup-trees.js'
import { FakeFiles, GiB, MiB, machineBytes, type Tree } from './cgroup-trees.js'

const find = (tree: Tree) => findCgroup(new FakeFiles(tree), machineBytes)
const v2 = (directory: string, limitMiB: number, limitSource: CgroupLimitSource = 'memory.max') =>
  ({ version: 'v2', directory, limitBytes: limitMiB * MiB, limitSource }) as const
const v1 = (directory: string, limitMiB: number) =>
  ({ version: 'v1', directory, limitBytes: limitMiB * MiB, limitSource: 'memory.limit_in_bytes' }) as const

describe('the control group with the tightest limit', () => {
  test('Docker, v2, in a namespace', () => {
    assert.deepEqual(find(trees.dockerV2), v2('/sys/fs/cgroup', 256))
  })

  test('Kubernetes, v2, a nested path of which a part is mounted', () => {
    assert.deepEqual(find(trees.kubernetesV2), v2('/sys/fs/cgroup', 512))
  })

  test('Kubernetes, v2, the whole hierarchy: the pod is tighter than the container', () => {
    const { directory, limitBytes } = find(trees.kubernetesV2Whole) ?? assert.fail()
    assert.match(directory, /^\/sys\/fs\/cgroup\/kubepods.*-pod2c48913c\.slice$/)
    assert.equal(limitBytes, 384 * MiB)
  })

  test('of two groups with one limit, the outer one', () => {
    const tree: Tree = { ...trees.kubernetesV2Whole }
    for (const path of Object.keys(tree)) if (path.endsWith('memory.max')) tree[path] = '402653184\n'
    assert.equal(find(tree)?.directory, '/sys/fs/cgroup/kubepods.slice')
  })

  test('systemd, v2, memory.high below memory.max', () => {
    assert.deepEqual(
      find(trees.systemdV2),
      v2('/sys/fs/cgroup/system.slice/chat.service', 768, 'memory.high'),
    )
  })

  test('Docker, v1', () => {
    assert.deepEqual(find(trees.dockerV1), v1('/sys/fs/cgroup/memory', 256))
  })

  test('v1 and v2 at once: memory is with v1; the slice around limits', () => {
    assert.deepEqual(find(trees.hybrid), v1('/sys/fs/cgroup/memory/app.slice', 300))
  })

  test('a process outside of its namespace, a mount with a blank in its path', () => {
    assert.deepEqual(find(trees.outsideV2), v2('/sys/fs/cgroup', 256))
    assert.deepEqual(find(trees.blankV2), v2('/mnt/c groups', 256))
  })

  for (const [name, tree] of Object.entries(trees.unlimited)) {
    test(`none: ${name}`, () => assert.equal(find(tree), undefined))
  }

  test('none that leads out of the mounts', () => {
    const files = new FakeFiles(trees.outsideV2)
    findCgroup(files, machineBytes)
    assert.ok(files.reads.every((path) => !path.includes('..')))
  })
})

describe("the memory limit, 'auto'", () => {
  const limit = (tree: Tree, constrained: number | undefined, option: number | 'auto' = 'auto') =>
    memoryLimit(option, {
      cgroup: () => find(tree),
      constrainedBytes: () => constrained,
      machineBytes: () => machineBytes,
    })

  test('is the tightest that is known, and says whose', () => {
    assert.deepEqual(limit(trees.dockerV2, 2 ** 64), { bytes: 256 * MiB, source: 'memory.max' })
    assert.deepEqual(limit(trees.systemdV2, GiB), { bytes: 768 * MiB, source: 'memory.high' })
    assert.deepEqual(limit(trees.dockerV1, 256 * MiB), {
      bytes: 256 * MiB,
      source: 'memory.limit_in_bytes',
    })
    assert.deepEqual(limit(trees.dockerV2, 128 * MiB), { bytes: 128 * MiB, source: 'container' })
    assert.deepEqual(limit({}, 128 * MiB), { bytes: 128 * MiB, source: 'container' })
  })

  test("is the machine's memory where Node says 0, nothing, 2^64, or more than there is", () => {
    for (const constrained of [0, undefined, 18446744073709552000, machineBytes, 2 * machineBytes])
      assert.deepEqual(limit({}, constrained), { bytes: machineBytes, source: 'machine' })
  })

  test('gives way to the option', () => {
    assert.deepEqual(limit(trees.dockerV2, 0, GiB), { bytes: GiB, source: 'option' })
  })
})

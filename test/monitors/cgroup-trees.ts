import type { OpenFiles } from '../../lib/monitors/files.js'

export type Tree = Record<string, string>

export const MiB = 1024 ** 2
export const GiB = 1024 ** 3
export const machineBytes = 16 * GiB

const top = '/sys/fs/cgroup'
/** What the kernel writes where v1 has no limit: the largest number of pages. */
const unlimitedV1 = '9223372036854771712\n'

const statV2 = (anon: number, inactiveFile: number, activeFile: number) =>
  `anon ${anon}\nfile ${inactiveFile + activeFile}\nkernel 3358720\nkernel_stack 180224\npagetables 1236992\nsec_pagetables 0\npercpu 2880\nsock 0\nvmalloc 0\nshmem 0\nzswap 0\nzswapped 0\nfile_mapped 41541632\nfile_dirty 0\nfile_writeback 0\nswapcached 0\nanon_thp 0\nfile_thp 0\nshmem_thp 0\ninactive_anon ${anon}\nactive_anon 8192\ninactive_file ${inactiveFile}\nactive_file ${activeFile}\nunevictable 0\nslab_reclaimable 1057600\nslab_unreclaimable 524328\nslab 1581928\nworkingset_refault_anon 0\nworkingset_refault_file 0\npgfault 25741\npgmajfault 12\n`

const statV1 = (rss: number, inactiveFile: number, activeFile: number) =>
  // The first lines are of this group alone, those of `total_` of the groups in it too.
  `cache 0\nrss 0\nmapped_file 0\ninactive_anon 0\nactive_anon 0\ninactive_file 0\nactive_file 0\nunevictable 0\nhierarchical_memory_limit 268435456\nhierarchical_memsw_limit 9223372036854771712\ntotal_cache ${inactiveFile + activeFile}\ntotal_rss ${rss}\ntotal_mapped_file 565248\ntotal_inactive_anon ${rss}\ntotal_active_anon 12288\ntotal_inactive_file ${inactiveFile}\ntotal_active_file ${activeFile}\ntotal_unevictable 0\n`

const v2 = (directory: string, max: string, high: string, usage: number, inactiveFile = 0): Tree => ({
  [`${directory}/memory.max`]: `${max}\n`,
  [`${directory}/memory.high`]: `${high}\n`,
  [`${directory}/memory.current`]: `${usage}\n`,
  [`${directory}/memory.stat`]: statV2(usage - inactiveFile - 4 * MiB, inactiveFile, 4 * MiB),
})

const v1 = (directory: string, limit: string, usage: number, inactiveFile = 0): Tree => ({
  [`${directory}/memory.limit_in_bytes`]: limit,
  [`${directory}/memory.usage_in_bytes`]: `${usage}\n`,
  [`${directory}/memory.stat`]: statV1(usage - inactiveFile, inactiveFile, 0),
})

/** The default of Docker on a distribution of today: a namespace, in which the container is the root. */
export const dockerV2: Tree = {
  '/proc/self/cgroup': '0::/\n',
  '/proc/self/mountinfo': `1252 1251 0:129 / /proc rw,nosuid,nodev,noexec,relatime - proc proc rw
1255 1254 0:30 / /sys/fs/cgroup ro,nosuid,nodev,noexec,relatime - cgroup2 cgroup rw,nsdelegate,memory_recursiveprot
`,
  ...v2(top, '268435456', 'max', 200 * MiB, 60 * MiB),
}

const pod = '/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod2c48913c.slice'
const scope = `${pod}/cri-containerd-0f1d7a.scope`

/** Kubernetes without a namespace, of which the container sees its own part only. */
export const kubernetesV2: Tree = {
  '/proc/self/cgroup': `0::${scope}\n`,
  '/proc/self/mountinfo': `2101 2096 0:26 ${scope} /sys/fs/cgroup ro,nosuid,nodev,noexec,relatime master:9 - cgroup2 cgroup rw\n`,
  ...v2(top, '536870912', 'max', 120 * MiB),
}

/** The same in a privileged container, which sees the whole hierarchy; the pod has less than its container may take. */
export const kubernetesV2Whole: Tree = {
  '/proc/self/cgroup': `0::${scope}\n`,
  '/proc/self/mountinfo': '2101 2096 0:26 / /sys/fs/cgroup rw,relatime shared:9 - cgroup2 cgroup2 rw\n',
  ...v2(`${top}${scope}`, '536870912', 'max', 120 * MiB),
  ...v2(`${top}${pod}`, '402653184', 'max', 300 * MiB, 100 * MiB),
  ...v2(`${top}/kubepods.slice/kubepods-burstable.slice`, 'max', 'max', 2 * GiB),
  ...v2(`${top}/kubepods.slice`, String(12 * GiB), 'max', 3 * GiB),
}

/** A service of systemd with `MemoryHigh=` below `MemoryMax=`. The root of the hierarchy has no such files. */
export const systemdV2: Tree = {
  '/proc/self/cgroup': '0::/system.slice/chat.service\n',
  '/proc/self/mountinfo':
    '35 24 0:30 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot\n',
  ...v2(`${top}/system.slice/chat.service`, '1073741824', '805306368', 100 * MiB),
  ...v2(`${top}/system.slice`, 'max', 'max', 700 * MiB),
}

const container = '/docker/4b1c96d5e3'

/** Docker on v1, which names the host's path and shows the container's own part below the mount. */
export const dockerV1: Tree = {
  '/proc/self/cgroup': `12:pids:${container}\n9:cpu,cpuacct:${container}\n4:memory:${container}\n1:name=systemd:${container}\n`,
  '/proc/self/mountinfo': `820 819 0:31 ${container} /sys/fs/cgroup/cpu,cpuacct ro,nosuid,relatime master:14 - cgroup cgroup rw,cpu,cpuacct
824 819 0:36 ${container} /sys/fs/cgroup/memory ro,nosuid,nodev,noexec,relatime master:18 - cgroup cgroup rw,memory
`,
  ...v1(`${top}/memory`, '268435456\n', 220 * MiB, 70 * MiB),
}

/** systemd on both: v2 names a group too, but memory is accounted in v1, here in the slice around the process. */
export const hybrid: Tree = {
  '/proc/self/cgroup':
    '9:name=systemd:/app.slice/a.scope\n4:memory:/app.slice/a.scope\n0::/app.slice/a.scope\n',
  '/proc/self/mountinfo': `35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
`,
  ...v1(`${top}/memory/app.slice/a.scope`, unlimitedV1, 90 * MiB),
  ...v1(`${top}/memory/app.slice`, '314572800\n', 110 * MiB),
  ...v1(`${top}/memory`, unlimitedV1, 4 * GiB),
}

/** A process that was moved out of its namespace: where it is cannot be seen, what is mounted can. */
export const outsideV2: Tree = { ...dockerV2, '/proc/self/cgroup': '0::/../8d1f\n' }

/** A mount at a path with a blank in it. */
export const blankV2: Tree = {
  '/proc/self/cgroup': '0::/\n',
  '/proc/self/mountinfo': '35 24 0:30 / /mnt/c\\040groups rw - cgroup2 cgroup2 rw\n',
  ...v2('/mnt/c groups', '268435456', 'max', 10 * MiB),
}

export const unlimited: Record<string, Tree> = {
  'no cgroups': {},
  'cgroups that are not mounted': { '/proc/self/cgroup': '0::/\n', '/proc/self/mountinfo': '' },
  'v2, max': { ...dockerV2, ...v2(top, 'max', 'max', 200 * MiB) },
  'v2, as much as the machine has': { ...dockerV2, ...v2(top, String(machineBytes), 'max', 200 * MiB) },
  'v1, PAGE_COUNTER_MAX': { ...dockerV1, ...v1(`${top}/memory`, unlimitedV1, 200 * MiB) },
  nonsense: { ...dockerV2, [`${top}/memory.max`]: 'plenty\n', [`${top}/memory.high`]: '0\n' },
}

/** Files that can be changed, and of which is known what was read. */
export class FakeFiles implements OpenFiles {
  readonly tree: Tree
  reads: string[] = []
  closed = 0

  constructor(tree: Tree) {
    this.tree = { ...tree }
  }
  read(path: string): string | undefined {
    this.reads.push(path)
    return this.tree[path]
  }
  close(): void {
    this.closed++
  }
}

import { totalmem } from 'node:os'
import { type Files, wholeFiles } from './files.js'

export type CgroupVersion = 'v1' | 'v2'
/** The file of the kernel that a limit was read from. */
export type CgroupLimitSource = 'memory.max' | 'memory.high' | 'memory.limit_in_bytes'

/** A control group with a memory limit that holds this process. */
export interface Cgroup {
  readonly version: CgroupVersion
  readonly directory: string
  readonly limitBytes: number
  readonly limitSource: CgroupLimitSource
}

/** Control groups that hold this process and may limit its memory: its own first, then what is around it. */
export interface CgroupLevels {
  readonly version: CgroupVersion
  readonly directories: readonly string[]
}

interface Mount {
  /** Which group of the hierarchy is seen at `point`. */
  readonly root: string
  readonly point: string
}

const limitFiles: Record<CgroupVersion, readonly CgroupLimitSource[]> = {
  v1: ['memory.limit_in_bytes'],
  // Above memory.high the kernel slows the group down until it is of no use: a limit as hard as the other.
  v2: ['memory.max', 'memory.high'],
}

/**
 * The control group with the tightest memory limit around this process, `undefined` where nothing limits it. A limit of
 * the machine's memory or more is none.
 */
export function findCgroup(files: Files = wholeFiles, machineBytes = totalmem()): Cgroup | undefined {
  const levels = cgroupLevels(files)
  if (levels === undefined) return undefined
  const { version, directories } = levels
  let tightest: Cgroup | undefined
  for (const directory of directories) {
    for (const limitSource of limitFiles[version]) {
      const limitBytes = limitIn(files.read(`${directory}/${limitSource}`))
      if (limitBytes >= machineBytes) continue
      // Of equal limits the outer group's counts: it holds what the inner one uses, and more.
      const isTighter =
        tightest === undefined ||
        limitBytes < tightest.limitBytes ||
        (limitBytes === tightest.limitBytes && directory !== tightest.directory)
      if (isTighter) tightest = { version, directory, limitBytes, limitSource }
    }
  }
  return tightest
}

/** Where the memory of this process is accounted, up to the root of what is mounted here. */
export function cgroupLevels(files: Files = wholeFiles): CgroupLevels | undefined {
  const group = ownGroup(files.read('/proc/self/cgroup') ?? '')
  if (group === undefined) return undefined
  const { version, path } = group
  const mounts = mountsOf(files.read('/proc/self/mountinfo') ?? '', version)
  const mount = mounts.find(({ root }) => pathBelow(root, path) !== undefined) ?? mounts[0]
  if (mount === undefined) return undefined
  const directories = [mount.point]
  for (const name of (pathBelow(mount.root, path) ?? '').split('/'))
    if (name !== '') directories.unshift(`${directories[0]}/${name}`)
  return { version, directories }
}

/** On a hybrid system the memory controller belongs to v1 where v1 names it, and v2 has none. */
function ownGroup(text: string): { version: CgroupVersion; path: string } | undefined {
  let unified: string | undefined
  for (const line of text.split('\n')) {
    const [, controllers, path] = /^\d+:([^:]*):(\/.*)$/.exec(line) ?? []
    if (controllers === undefined || path === undefined) continue
    if (controllers.split(',').includes('memory')) return { version: 'v1', path }
    if (controllers === '') unified = path
  }
  return unified === undefined ? undefined : { version: 'v2', path: unified }
}

/** Lines as in proc(5): `id parent device root point options [fields] - type source options`. */
function mountsOf(text: string, version: CgroupVersion): Mount[] {
  const mounts: Mount[] = []
  for (const line of text.split('\n')) {
    const [own = '', shared = ''] = line.split(' - ')
    const [, , , root, point] = own.split(' ')
    const [type, , options = ''] = shared.split(' ')
    const fits =
      version === 'v2' ? type === 'cgroup2' : type === 'cgroup' && options.split(',').includes('memory')
    if (fits && root !== undefined && point !== undefined)
      mounts.push({ root: unescaped(root), point: unescaped(point) })
  }
  return mounts
}

/** A blank in a path is `\040` there. */
function unescaped(path: string): string {
  return path.replace(/\\(\d{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)))
}

/** `path` as seen from `root`; `undefined` where it is not below it, or goes up out of this namespace. */
function pathBelow(root: string, path: string): string | undefined {
  const below =
    root === '/'
      ? path
      : path === root
        ? ''
        : path.startsWith(`${root}/`)
          ? path.slice(root.length)
          : undefined
  return below?.split('/').includes('..') ? undefined : below
}

function limitIn(text: string | undefined): number {
  const bytes = /^\d+$/.test(text?.trim() ?? '') ? Number(text) : 0
  return bytes > 0 ? bytes : Number.POSITIVE_INFINITY
}

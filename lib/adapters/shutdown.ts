import type { DrainReport } from '../../types/drain.js'
import type { DrainHook, ResolvedDrain } from '../../types/options.js'
import { isDisconnecting } from './parent.js'
import { joinShutdown, stopEveryone } from './terminus.js'
import { joinUncaught } from './uncaught.js'

/** What the shutdown needs of the pulse. */
export interface ShutdownHost {
  /** Monotonic milliseconds. */
  now(): number
  /** Keeps the process and the clock going, for hooks that wait on nothing else. */
  hold(): void
  /** A call after a time, in which stalls count; and how to take it back. */
  after(ms: number, run: () => void): () => void
  /** The same, by a timer that nothing of the pulse can hold up. */
  lastResort(ms: number, run: () => void): void
  /** `undefined`: the pulse was detached meanwhile. */
  drain(why: string, options: { skipDelay: boolean; elapsedMs: number }): Promise<DrainReport> | undefined
  onReport(report: DrainReport): void
  onHookError(name: string, error: unknown): void
  /** Something of ours failed. */
  failed(error: unknown): void
  onOverdue(): void
  /** `true`: it is logged. */
  onUncaught(error: unknown, origin: string): boolean
}

/** How a pulse takes part in the shutdown of its process. */
export interface Shutdown {
  readonly name: string
  /** Looks for a stop that no event tells of. */
  tick(): void
  stop(): void
}

type HookName = 'beforeShutdown' | 'onSignal' | 'onShutdown'

/** Stops for which nobody has to notice first: a person waits, or the listening has ended, or another worker listens. */
const withoutDelay: ReadonlySet<string> = new Set(['SIGINT', 'shutdown', 'disconnect'])

/** Shuts down on signals, and on errors that nobody caught: the app's hooks around our drain, all within the deadline. */
export function shutDownOnDemand(config: ResolvedDrain, host: ShutdownHost): Shutdown {
  let signalledAt: number | undefined
  const elapsedMs = () => {
    signalledAt ??= host.now()
    return host.now() - signalledAt
  }

  /** A hook can neither fail the shutdown nor hold it up. */
  function run(name: HookName): Promise<void> {
    const hook: DrainHook | undefined = config[name]
    if (hook === undefined) return Promise.resolve()
    // One that hangs before the drain leaves half of the time to it: the peers are to hear of it.
    const leftMs = name === 'beforeShutdown' ? config.deadlineMs / 2 : config.deadlineMs - elapsedMs()
    const limitMs = Math.round(Math.max(0, Math.min(config.hookTimeoutMs, leftMs)))
    return new Promise((resolve) => {
      let isOver = false
      const end = (error?: { thrown: unknown }) => {
        if (isOver) return
        isOver = true
        takeBack()
        if (error !== undefined) host.onHookError(`drain.${name}`, error.thrown)
        resolve()
      }
      const takeBack = host.after(limitMs, () => end({ thrown: new Error(`no end in ${limitMs} ms`) }))
      Promise.resolve()
        .then(() => hook())
        .then(
          () => end(),
          (thrown) => end({ thrown }),
        )
    })
  }

  /** Part of the deadline that a drain leaves to the hooks behind it: databases are closed there. */
  const later = [config.onSignal, config.onShutdown].filter((hook) => hook !== undefined).length
  const reservedMs = later * Math.min(config.hookTimeoutMs, config.deadlineMs / 10)

  const leave = joinShutdown({
    signals: config.signals,
    deadlineMs: config.deadlineMs,
    now: () => host.now(),
    lastResort: (ms, run) => host.lastResort(ms, run),
    beforeShutdown() {
      signalledAt = host.now()
      host.hold()
      return run('beforeShutdown')
    },
    async drain(why) {
      const report = await host.drain(why, {
        skipDelay: withoutDelay.has(why),
        elapsedMs: elapsedMs() + reservedMs,
      })
      host.hold()
      if (report !== undefined) host.onReport(report)
    },
    onSignal: () => run('onSignal'),
    onShutdown: () => run('onShutdown'),
    failed: (error) => host.failed(error),
    overdue: () => host.onOverdue(),
  })
  const leaveUncaught = config.uncaught
    ? joinUncaught((error, origin) => host.onUncaught(error, origin))
    : undefined
  return {
    name: 'shutdown',
    tick() {
      if (config.signals.length > 0 && isDisconnecting()) stopEveryone('disconnect')
    },
    stop() {
      leaveUncaught?.()
      leave()
    },
  }
}

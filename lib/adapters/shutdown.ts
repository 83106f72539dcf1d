import type { DrainReport } from '../../types/drain.js'
import type { DrainHook, ResolvedDrain } from '../../types/options.js'
import { joinShutdown } from './terminus.js'
import { joinUncaught } from './uncaught.js'

/** What the shutdown needs of the pulse. */
export interface ShutdownHost {
  /** Monotonic milliseconds. */
  now(): number
  /** Keeps the process and the clock going, for hooks that wait on nothing else. */
  hold(): void
  /** A call after a time, and how to take it back. */
  after(ms: number, run: () => void): () => void
  drain(why: string, options: { skipDelay: boolean; elapsedMs: number }): Promise<DrainReport>
  onReport(report: DrainReport): void
  onHookError(name: string, error: unknown): void
  /** `true`: it is logged. */
  onUncaught(error: unknown, origin: string): boolean
}

type HookName = 'beforeShutdown' | 'onSignal' | 'onShutdown'

/** Shuts down on signals, and on errors that nobody caught: the app's hooks around our drain, all within the deadline. Returns how to leave. */
export function shutDownOnDemand(config: ResolvedDrain, host: ShutdownHost): () => void {
  let signalledAt = 0
  const elapsedMs = () => host.now() - signalledAt

  /** A hook can neither fail the shutdown nor hold it up. */
  function run(name: HookName): Promise<void> {
    const hook: DrainHook | undefined = config[name]
    if (hook === undefined) return Promise.resolve()
    // One that hangs before the drain leaves half of the time to it: the peers are to hear of it.
    const leftMs = name === 'beforeShutdown' ? config.deadlineMs / 2 : config.deadlineMs - elapsedMs()
    const limitMs = Math.round(Math.max(0, Math.min(config.hookTimeoutMs, leftMs)))
    return new Promise((resolve) => {
      const failed = (error: unknown) => {
        host.onHookError(`drain.${name}`, error)
        resolve()
      }
      const takeBack = host.after(limitMs, () => failed(new Error(`no end in ${limitMs} ms`)))
      Promise.resolve()
        .then(() => hook())
        .then(() => resolve(), failed)
        .finally(takeBack)
    })
  }

  /** Part of the deadline that a drain leaves to the hooks behind it: databases are closed there. */
  const later = [config.onSignal, config.onShutdown].filter((hook) => hook !== undefined).length
  const reservedMs = later * Math.min(config.hookTimeoutMs, config.deadlineMs / 10)

  const leave = joinShutdown({
    signals: config.signals,
    beforeShutdown() {
      signalledAt = host.now()
      host.hold()
      return run('beforeShutdown')
    },
    async drain(why) {
      const report = await host.drain(why, {
        skipDelay: why === 'SIGINT',
        elapsedMs: elapsedMs() + reservedMs,
      })
      host.hold()
      host.onReport(report)
    },
    onSignal: () => run('onSignal'),
    onShutdown: () => run('onShutdown'),
  })
  if (!config.uncaught) return leave
  const leaveUncaught = joinUncaught((error, origin) => host.onUncaught(error, origin))
  return () => {
    leaveUncaught()
    leave()
  }
}

import { monitorEventLoopDelay } from 'node:perf_hooks'

/** What a stack or a load offers to the bench, by name. Arguments and results are JSON. */
export type Commands = Record<string, (...args: never[]) => unknown>
/** The default export of a stack or a load. */
export type Start = (options: never) => Commands | Promise<Commands>

const [path = '', options = '{}'] = process.argv.slice(2)
const { default: start } = (await import(path)) as { default: Start }
const delay = monitorEventLoopDelay({ resolution: 1 })

const commands: Commands = {
  /** Microseconds of CPU, user and system, since the process began. */
  cpu() {
    const { user, system } = process.cpuUsage()
    return user + system
  },
  memory() {
    for (let i = 0; i < 6; i++) globalThis.gc?.()
    return process.memoryUsage()
  },
  watchLoop() {
    delay.reset()
    delay.enable()
  },
  /** The longest stop of the event loop since `watchLoop`, in milliseconds. */
  longestStop() {
    delay.disable()
    return delay.max / 1e6
  },
  ...(await start(JSON.parse(options) as never)),
}

process.on('message', async ({ id, command, args }: { id: number; command: string; args: never[] }) => {
  try {
    const run = commands[command]
    if (run === undefined) throw new Error(`${path} has no command '${command}'`)
    process.send?.({ id, result: await run(...args) })
  } catch (error) {
    process.send?.({ id, error: String((error as Error)?.stack ?? error) })
  }
})
// The bench is gone: nobody would stop us.
process.on('disconnect', () => process.exit())
process.send?.({ id: 0 })

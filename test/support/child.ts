import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { Scope } from './servers.js'
import { until } from './wait.js'

/** A fixture in a process of its own, which may die. */
export interface Child {
  readonly port: number
  readonly alive: boolean
  /** What it wrote to stderr. */
  readonly stderr: string
}

/** Starts a compiled fixture that sends its port by IPC. */
export async function startChild(scope: Scope, fixture: URL, args: readonly string[]): Promise<Child> {
  const child = fork(fileURLToPath(fixture), args, { stdio: ['ignore', 'ignore', 'pipe', 'ipc'] })
  const state = { port: 0, alive: true, stderr: '' }
  child.stderr?.on('data', (chunk) => {
    state.stderr += String(chunk)
  })
  child.on('message', (port: number) => {
    state.port = port
  })
  const exited = new Promise<void>((resolve) => {
    child.on('exit', () => {
      state.alive = false
      resolve()
    })
  })
  scope.after(async () => {
    if (state.alive) child.kill('SIGKILL')
    await exited
  })
  await until(() => state.port > 0 || !state.alive, `the fixture ${args.join(' ')} to listen`)
  if (!state.alive) throw new Error(`the fixture ${args.join(' ')} died at its start: ${state.stderr}`)
  return state
}
